// Finding the page's parts and making copies of its templates. The markup is in
// index.html only; no text from anywhere ever becomes markup.

/** The page's element with this id. */
export function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element as T;
}

/** The part of an element that a selector names. */
export function part<T extends Element>(root: ParentNode, selector: string): T {
  const element = root.querySelector<T>(selector);
  if (element === null) throw new Error(`index.html has no ${selector}`);
  return element;
}

/** A copy of a template's only element. */
export function copyOf<T extends HTMLElement>(templateId: string): T {
  const element = byId<HTMLTemplateElement>(templateId).content.firstElementChild;
  if (element === null) throw new Error(`#${templateId} is empty`);
  return document.importNode(element, true) as T;
}
