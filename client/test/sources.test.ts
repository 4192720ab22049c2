// What must hold for the sources themselves: the page makes no markup of text,
// carries nothing inline that its Content-Security-Policy would refuse, and
// every file says what it is for.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { extname } from "node:path";
import { test } from "node:test";

const CLIENT = new URL("..", import.meta.url);
const LINES_MAX = 400;

async function sources(...folders: string[]): Promise<{ path: string; text: string }[]> {
  const files: { path: string; text: string }[] = [];
  for (const folder of folders) {
    const names = await readdir(new URL(`${folder}/`, CLIENT), { recursive: true });
    for (const name of names.filter((name) => extname(name)).sort()) {
      const path = `${folder}/${name}`;
      files.push({ path, text: await readFile(new URL(path, CLIENT), "utf8") });
    }
  }
  return files;
}

test("text never becomes markup or code", async () => {
  const sinks = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\s*\(|new Function/;
  for (const { path, text } of await sources("src", "demo")) assert.doesNotMatch(text, sinks, path);
});

test("the page has no inline script or style, and takes nothing from elsewhere", async () => {
  const html = await readFile(new URL("demo/index.html", CLIENT), "utf8");
  const styles = (await sources("demo")).filter(({ path }) => path.endsWith(".css"));
  assert.doesNotMatch(html, /<style|\sstyle=|\son[a-z]+\s*=|javascript:/i);
  for (const [tag] of html.matchAll(/<script[^>]*>/g)) assert.match(tag, /src="\/demo\.js"/);
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) assert.match(address!, /^(\/[a-z.]+|data:image\/svg\+xml,.*)$/);
  for (const { path, text } of styles) assert.doesNotMatch(text, /@import|url\(/, path);
});

test("every file is short and begins with what it is for", async () => {
  for (const { path, text } of await sources("src", "demo", "test")) {
    const headings: Record<string, RegExp> = {
      ".css": /^\/\* [A-Z]/, ".html": /^<!doctype html>\n<!-- [A-Z]/, ".py": /^# [A-Z]/,
    };
    const heading = headings[extname(path)] ?? /^\/\/ [A-Z]/;
    assert.match(text, heading, path);
    assert(text.split("\n").length <= LINES_MAX, path);
  }
});

test("the lock file names no host", async () => {
  assert.doesNotMatch(await readFile(new URL("package-lock.json", CLIENT), "utf8"), /https?:\/\/|"resolved"/);
});
