"use strict";
// Sorting and filtering of the tables; without it the page shows everything in its first order.
// Nothing here writes markup: text goes in as text.

const value = (row, place) => {
  const cell = row.cells[place];
  return cell.dataset.sort ?? cell.textContent.trim();
};

const order = (one, other) => {
  if (one === "" || other === "") return (one === "") - (other === "");
  const numbers = [Number(one), Number(other)];
  if (numbers.every((number) => !Number.isNaN(number))) return numbers[0] - numbers[1];
  return one.localeCompare(other, "en", { numeric: true });
};

const sortBy = (table, head) => {
  const place = head.cellIndex;
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => {
    const values = [value(one, place), value(other, place)];
    const empty = (values[0] === "") - (values[1] === ""); // last in both directions
    return empty || sign * order(...values);
  });
  table.tBodies[0].append(...rows);
};

const filterBy = (table, words, counted) => {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  counted.textContent = wanted.length ? `${shown} of ${rows.length} rows` : "";
};

for (const table of document.querySelectorAll("table")) {
  for (const head of table.querySelectorAll("th[data-sorts]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.dataset.sorts = head.textContent;
    button.addEventListener("click", () => sortBy(table, head));
    head.replaceChildren(button);
  }
  if (table.dataset.filter && table.tBodies[0].rows.length > 5) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const counted = document.createElement("output");
    input.type = "search";
    input.setAttribute("aria-label", table.dataset.filter);
    label.append("Filter ", input);
    input.addEventListener("input", () => filterBy(table, input.value, counted));
    const place = document.createElement("div");
    place.className = "filter";
    place.append(label, counted);
    table.parentElement.before(place);
  }
}

const reveal = () => {
  const name = decodeURIComponent(location.hash.slice(1));
  const place = name && document.getElementById(name);
  if (place instanceof HTMLDetailsElement) {
    place.open = true;
    place.scrollIntoView();
  }
};
window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  const target = event.target instanceof Element && event.target.closest('a[href^="#"]');
  if (target) setTimeout(reveal);
});
reveal();

for (const drawing of document.querySelectorAll("svg.lineage")) {
  const mark = (name) => {
    for (const edge of drawing.querySelectorAll(".edge")) {
      edge.classList.toggle("near", [edge.dataset.from, edge.dataset.to].includes(name));
    }
    const near = new Set([name]);
    for (const edge of drawing.querySelectorAll(".edge.near")) {
      near.add(edge.dataset.from).add(edge.dataset.to);
    }
    for (const box of drawing.querySelectorAll(".box")) {
      box.classList.toggle("near", name !== null && near.has(box.dataset.name));
    }
  };
  for (const box of drawing.querySelectorAll(".box")) {
    for (const begins of ["pointerenter", "focus"]) {
      box.addEventListener(begins, () => mark(box.dataset.name));
    }
    for (const ends of ["pointerleave", "blur"]) box.addEventListener(ends, () => mark(null));
  }
}
