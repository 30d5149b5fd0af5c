"use strict";
const collator = new Intl.Collator("en", { numeric: true });
const key = (row, column) => {
  const cell = row.cells[column];
  const text = cell.textContent.trim();
  return cell.classList.contains("number") ? text.replaceAll(",", "") : text;
};
for (const list of document.querySelectorAll("section.list")) {
  const [body] = list.querySelector("table").tBodies;
  const heads = [...list.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows];
      rows.sort((a, b) => sign * collator.compare(key(a, column), key(b, column)));
      body.append(...rows);
    });
  });
  const filter = list.querySelector(".filter");
  const input = filter.querySelector("input");
  const shown = filter.querySelector("output");
  filter.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${body.rows.length}`;
  });
}
// A pointer over a bar is told what its label says; who cannot see it has the figures below.
for (const bar of document.querySelectorAll("svg path[aria-label]")) {
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = bar.getAttribute("aria-label").replaceAll("; ", "\n");
  bar.append(title);
}
