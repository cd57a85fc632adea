"use strict";
const tables = [...document.querySelectorAll("table")];
const rows = [...document.querySelectorAll("tbody tr")];
const choices = [...document.querySelectorAll("select")];
const words = document.querySelector("#words");
const count = document.querySelector("#count");

const places = [...(tables[0]?.tHead.querySelectorAll("th") ?? [])].map((heading) => heading.textContent.trim());

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = choices.filter((choice) => choice.value);
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word)) ||
      !chosen.every((choice) => row.cells[places.indexOf(choice.name)].textContent === choice.value);
    shown += row.hidden ? 0 : 1;
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("tbody tr:not([hidden])");
  }
  count.textContent = `${shown} of ${rows.length} rows`;
}

// What a cell is ordered by; empty where there is nothing: a dash, or words in the place of a figure.
function findKey(cell, isNumber) {
  const text = isNumber ? "" : cell.textContent.toLowerCase();
  return cell.dataset.key ?? (text === "–" ? "" : text);
}

function order(table, place, button) {
  const heading = button.closest("th");
  const down = heading.getAttribute("aria-sort") === "descending";
  for (const each of table.tHead.querySelectorAll("th")) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "ascending" : "descending");
  const sign = down ? 1 : -1;
  const isNumber = heading.className === "number";
  const keyed = [...table.tBodies[0].rows].map((row) => [findKey(row.cells[place], isNumber), row]);
  keyed.sort(([a], [b]) => {
    if (!a || !b) return !a - !b;
    const [x, y] = [Number(a), Number(b)];
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

for (const table of tables) {
  [...table.tHead.querySelectorAll("th")].forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => order(table, place, button));
    heading.append(button);
  });
}
for (const each of [words, ...choices]) each.addEventListener("input", filter);
document.querySelector("#filters").hidden = false;
filter();
