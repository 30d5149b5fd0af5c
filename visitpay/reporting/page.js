"use strict";
// Ages: kept current, and told of the page itself. A page that is older than a day knows nothing.
const DAY = 86400000;
const counted = (number, unit) => `${number.toLocaleString("en")} ${unit}${number === 1 ? "" : "s"}`;
const span = (length) => {
  if (length >= 2 * DAY) return counted(Math.floor(length / DAY), "day");
  if (length >= DAY / 12) return counted(Math.floor(length / 3600000), "hour");
  return counted(Math.floor(length / 60000), "minute");
};
const ago = (length) => {
  if (length < 0) return "in the future";
  return length < 60000 ? "just now" : `${span(length)} ago`;
};
const written = Date.parse(document.documentElement.dataset.written);
const verdict = document.getElementById("verdict");
const word = verdict.querySelector("h1");
const said = word.textContent;
const grow_old = (age) => {
  const old = `this page is ${span(age)} old`;
  document.title = `? Unknown: ${old}`;
  verdict.className = "unknown";
  verdict.querySelector(".sign").textContent = "?";
  word.textContent = `Unknown: ${old}`;
  let then = document.getElementById("said");
  if (then) return;
  then = document.createElement("p");
  then.id = "said";
  then.textContent = `When it was written it said: ${said}`;
  word.after(then);
  document.getElementById("stale").hidden = false;
  document.getElementById("first")?.setAttribute("hidden", "");
};
const keep_current = () => {
  const now = Date.now();
  for (const age of document.querySelectorAll(".age")) {
    age.textContent = ago(now - Date.parse(age.dataset.at));
  }
  const old = now - written;
  document.getElementById("age").textContent =
    old < -300000 ? ", by this computer's clock in the future" : `, ${ago(Math.max(0, old))}`;
  const today = new Date(now).toISOString().slice(0, 10);
  if (today !== document.documentElement.dataset.written.slice(0, 10)) {
    for (const label of document.querySelectorAll("text.now")) label.textContent = label.dataset.day;
  }
  if (old > DAY) grow_old(old);
};
keep_current();
setInterval(keep_current, 30000);
for (const event of ["pageshow", "visibilitychange", "focus"]) addEventListener(event, keep_current);

// Commands: copied also where the page came by plain http, where there is no navigator.clipboard.
const copy = async (code) => {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
};
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(button.previousElementSibling);
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// Tables: a click on a head sorts, a second one the other way round.
const collator = new Intl.Collator("en", { numeric: true });
const key = (row, column) => {
  const cell = row.cells[column];
  const text = cell.textContent.trim();
  return cell.classList.contains("number") ? text.replace(/[$,s ]/g, "") : text;
};
for (const table of document.querySelectorAll("table[id]")) {
  const [body] = table.tBodies;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const is_number = head.classList.contains("number");
    const compare = is_number ? (a, b) => a - b : collator.compare;
    head.querySelector("button").addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort((a, b) => sign * compare(a[0], b[0]));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Rejects: words and facets leave the rows that have all of them; those can be taken away as CSV.
const tools = document.querySelector(".tools");
if (tools) {
  const table = document.getElementById("rejects");
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const input = tools.querySelector("input");
  const facets = [...tools.querySelectorAll("select")];
  const cell = (row, facet) => row.cells[facet.dataset.column].textContent;
  const fits = (row, but) =>
    facets.every((facet) => facet === but || !facet.value || cell(row, facet) === facet.value);
  const fill = (facet, found) => {
    const counts = new Map();
    for (const row of found) counts.set(cell(row, facet), (counts.get(cell(row, facet)) ?? 0) + 1);
    if (facet.value && !counts.has(facet.value)) counts.set(facet.value, 0);
    const values = [...counts].sort((a, b) => b[1] - a[1] || collator.compare(a[0], b[0]));
    const options = values.map(([value, count]) =>
      new Option(`${value} (${count.toLocaleString("en")})`, value, false, value === facet.value));
    facet.replaceChildren(new Option("all", "", false, !facet.value), ...options);
  };
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    const found = rows.filter((row) => words.every((each) => texts.get(row).includes(each)));
    const shown = new Set(found.filter((row) => fits(row)));
    for (const row of rows) row.hidden = !shown.has(row);
    for (const facet of facets) fill(facet, found.filter((row) => fits(row, facet)));
    const total = rows.length.toLocaleString("en");
    tools.querySelector("output").textContent = `${shown.size.toLocaleString("en")} of ${total}`;
  };
  // A spreadsheet would calculate with what begins like a formula; some split cells at these letters.
  const plain = (text) => text.replace(/(^|[,;|])(?=[" ]*[=+@\-\t\r])/g, "$1 ");
  const quoted = (text) => `"${plain(text).replaceAll('"', '""')}"`;
  const line = (cells) => `${cells.map(quoted).join(",")}\r\n`;
  tools.querySelector(".csv").addEventListener("click", (event) => {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
    const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const lines = shown.map((row) =>
      line([...row.cells].map((each) => each.dataset.full ?? each.textContent)));
    const link = document.createElement("a");
    link.download = event.target.dataset.name;
    link.href = URL.createObjectURL(new Blob([line(heads), ...lines], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  input.addEventListener("input", apply);
  for (const facet of facets) facet.addEventListener("change", apply);
  tools.hidden = false;
  apply();
}

// Paper: what is folded, and matters, is laid open.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.paper:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => {
  for (const each of opened) each.open = false;
});
