"use strict";
document.querySelectorAll("table.sortable").forEach(table => {
  const body = table.tBodies[0], heads = table.querySelectorAll("th");
  const value = (row, i) => row.cells[i].dataset.value === undefined
    ? null : Number(row.cells[i].dataset.value);
  heads.forEach((head, i) => head.firstChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const numeric = head.classList.contains("number");
    const rows = [...body.rows].sort((a, b) => {
      if (!numeric) return up * a.cells[i].textContent.localeCompare(b.cells[i].textContent);
      const x = value(a, i), y = value(b, i);
      return x === null || y === null ? (x === null) - (y === null) : up * (x - y);
    });
    body.append(...rows);
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up > 0 ? "ascending" : "descending");
  }));
});
