// Says below a plot what lies under the pointer. The page is complete without it: then the browser
// shows the same as the titles of the bands.
for (const plot of document.querySelectorAll("svg.plot")) {
  const line = plot.querySelector(".cross");
  const said = plot.closest("figure").querySelector(".said");
  const still = said.textContent;
  for (const band of plot.querySelectorAll(".band")) {
    const title = band.querySelector("title");
    const words = title.textContent;
    title.remove();
    band.addEventListener("pointerenter", () => {
      line.setAttribute("transform", `translate(${band.dataset.x})`);
      line.classList.add("shown");
      said.textContent = words;
    });
  }
  plot.addEventListener("pointerleave", () => {
    line.classList.remove("shown");
    said.textContent = still;
  });
}
