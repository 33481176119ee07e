for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.parentNode, body = head.closest("table").tBodies[0], at = head.cellIndex;
  const down = head.getAttribute("aria-sort") !== "descending";
  const key = row => row.cells[at].dataset.value ?? row.cells[at].textContent;
  const compare = (a, b) => isNaN(a) || isNaN(b) ? (a === "") - (b === "") || a.localeCompare(b) : a - b;
  const rows = [...body.rows].filter(row => key(row) !== ""), none = [...body.rows].filter(row => key(row) === "");
  rows.sort((a, b) => (down ? -1 : 1) * compare(key(a), key(b)));
  body.append(...rows, ...none);
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
};
const picks = [...document.querySelectorAll(".pick select")];
for (const pick of picks) pick.onchange = () => {
  for (const figure of document.querySelectorAll("figure"))
    figure.hidden = picks.some(one => one.value && figure.dataset[one.name] !== one.value);
};
