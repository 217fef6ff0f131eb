"use strict";
// Everything below adds to a page that can be read without it. Text from data goes in by textContent only.

const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const made = (tag, text = "", className = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
};
const data = (name) => JSON.parse(document.getElementById(`data-${name}`)?.textContent ?? "null");

// Sorting: rows, or groups of rows that belong together. What has no value stays last, either way.

function sortKey(unit, column) {
  const row = unit.rows ? unit.rows[0] : unit;
  const cell = row.cells[column];
  const text = (cell?.dataset.sort ?? cell?.textContent ?? "").trim();
  return text === "-" ? "" : text;
}

function compare(a, b) {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y || a.localeCompare(b, "en");
}

function sort(table, column, descending) {
  const units = "grouped" in table.dataset ? [...table.tBodies] : [...table.tBodies[0].rows];
  const keyed = units.map((unit) => ({ unit, key: sortKey(unit, column) }));
  keyed.sort((a, b) => {
    if (!a.key || !b.key) return Boolean(b.key) - Boolean(a.key);
    return (descending ? -1 : 1) * compare(a.key, b.key);
  });
  const home = "grouped" in table.dataset ? table : table.tBodies[0];
  home.append(...keyed.map(({ unit }) => unit));
}

function makeSortable(table) {
  all(":scope > thead th", table).forEach((head) => {
    const button = made("button", head.textContent);
    button.type = "button";
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      sort(table, head.cellIndex, descending);
      all(":scope > thead th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
  });
}

// The record behind a number.

const dialog = document.getElementById("record");
let records = null;

function describe(name) {
  const { groups } = records[name];
  return groups.flatMap(([heading, pairs]) => {
    const list = made("dl");
    pairs.forEach(([term, text]) => list.append(made("dt", term), made("dd", text)));
    return [made("h3", heading), list];
  });
}

function showRecords(names, number) {
  records ??= data("records");
  const known = names.filter((name) => name in records);
  const one = known.length === 1;
  const title = one ? records[known[0]].title : `${known.length} records behind ${number}`;
  document.getElementById("record-head").textContent = title;
  document.getElementById("record-body").replaceChildren(
    ...(one ? describe(known[0]) : known.map((name) => {
      const details = made("details");
      details.append(made("summary", records[name].title), ...describe(name));
      return details;
    })),
  );
  dialog.showModal();
  dialog.scrollTop = 0;
}

function makeButton(span) {
  const button = made("button", "", span.className);
  button.type = "button";
  button.dataset.records = span.dataset.records;
  button.setAttribute("aria-haspopup", "dialog");
  button.append(...span.childNodes);
  button.addEventListener("click", () => showRecords(button.dataset.records.split(" "), button.textContent));
  span.replaceWith(button);
}

// Filters.

function filterClaims(buttons, wanted) {
  buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.verdict === wanted)));
  const claims = all(".claim");
  claims.forEach((claim) => { claim.hidden = wanted !== "" && claim.dataset.verdict !== wanted; });
  const shown = claims.filter((claim) => !claim.hidden);
  const entries = document.querySelector("details.entries");
  if (entries && wanted) entries.open = shown.length > 0 && shown.every((claim) => entries.contains(claim));
  document.getElementById("claims-status").textContent = wanted ? `Showing ${shown.length} of ${claims.length} claims: ${wanted}.` : "";
}

function filterRows(metric) {
  const rows = all("#ablations tbody tr");
  rows.forEach((row) => { row.hidden = metric !== "" && row.dataset.key !== metric; });
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById("metric-status").textContent = `Showing ${shown} of ${rows.length} rows.`;
}

// Examples: a choice of one thing leaves those of the next that some record has.

const FACETS = ["task", "model", "sampler", "steps", "perturbation", "seed"];

function nearest(options, wanted) {
  if (options.includes(wanted)) return wanted;
  if (typeof wanted !== "number") return options[0];
  return options.reduce((best, option) => (Math.abs(option - wanted) < Math.abs(best - wanted) ? option : best));
}

function setOptions(select, options, chosen) {
  select.replaceChildren(...options.map((text) => new Option(text, text, false, text === chosen)));
  select.disabled = options.length < 2;
}

function startExplorer(entries) {
  const form = document.querySelector(".chooser");
  const { steps: stepsInput, example: exampleInput } = form.elements;
  const choice = { ...entries[0], example: 1 };
  let stepOptions = [], current = entries[0];

  function choose() {
    let left = entries;
    for (const facet of FACETS) {
      const options = [...new Set(left.map((entry) => entry[facet]))];
      if (facet === "steps") options.sort((a, b) => a - b);
      const chosen = nearest(options, choice[facet]);
      left = left.filter((entry) => entry[facet] === chosen);
      if (facet !== "steps") setOptions(form.elements[facet], options, chosen);
      else setSteps(options, chosen);
    }
    current = left[0];
    setExample();
  }

  function setSteps(options, chosen) {
    stepOptions = options;
    stepsInput.max = options.length - 1;
    stepsInput.value = options.indexOf(chosen);
    stepsInput.disabled = options.length < 2;
    const words = chosen ? String(chosen) : "its own";
    stepsInput.setAttribute("aria-valuetext", words);
    document.getElementById("steps-shown").textContent = words;
  }

  function setExample() {
    const example = Math.min(choice.example, current.examples);
    exampleInput.max = current.examples;
    exampleInput.value = example;
    document.getElementById("example-shown").textContent = `${example} of ${current.examples}`;
    show(example);
  }

  function show(example) {
    const sampler = current.steps ? `${current.sampler}-${current.steps}` : current.sampler;
    const how = sampler === "none" ? "" : `, ${sampler}`;
    const drawn = current.perturbation === "none" ? "" : `, perturbed ${current.perturbation}`;
    document.getElementById("shown").textContent =
      `Example ${example} of ${current.examples}: ${current.task} by ${current.model}${how}${drawn}, sampling seed ${current.seed}. `
      + `Over all test images: ${current.result}.`;
    const share = current.examples > 1 ? (100 * (example - 1)) / (current.examples - 1) : 0;
    all(".shown figure").forEach((figure, number) => {
      const [head, path] = current.pictures[number];
      const picture = figure.querySelector(".picture");
      picture.style.backgroundImage = `url("${encodeURI(path)}")`;
      picture.style.backgroundSize = `${100 * current.examples}% 100%`;
      picture.style.backgroundPosition = `${share}% 0`;
      picture.style.aspectRatio = String(current.ratio);
      picture.setAttribute("aria-label", `${head}, example ${example}`);
      figure.querySelector("figcaption").textContent = head;
    });
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    const { name, value } = target;
    if (name === "example") choice.example = Number(value);
    else if (name === "steps") choice.steps = stepOptions[Number(value)];
    else choice[name] = name === "seed" ? Number(value) : value;
    if (name === "example") setExample();
    else choose();
  });
  document.getElementById("shown-record").addEventListener("click", () => showRecords([current.record], ""));
  document.getElementById("chooser").hidden = false;
  choose();
}

// Printing: figures are there by then, and everything that is folded is opened, and folded again.

addEventListener("load", () => all("img[loading=lazy]").forEach((img) => { img.loading = "eager"; }));

let folded = [];
addEventListener("beforeprint", () => {
  folded = all("details:not([open])");
  folded.forEach((details) => { details.open = true; });
});
addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));

all("table[data-sortable]").forEach(makeSortable);
if (dialog) {
  all("span.measured").forEach(makeButton);
  all(".controls[hidden]").forEach((controls) => { controls.hidden = false; });
  const buttons = all(".filter button");
  buttons.forEach((button) => button.addEventListener("click", () => filterClaims(buttons, button.dataset.verdict)));
  const metric = document.getElementById("metric");
  metric.addEventListener("change", () => filterRows(metric.value));
  if (metric.options.length > 1) metric.selectedIndex = 1;
  filterRows(metric.value);
  const entries = data("explorer");
  if (entries?.length) startExplorer(entries);
}
