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
let known = null;

function describe(name) {
  const text = (number) => known.texts[number];
  const parts = known.records[name][1].flatMap(([heading, pairs]) => {
    const list = made("dl");
    pairs.forEach(([term, value]) => list.append(made("dt", text(term)), made("dd", text(value))));
    return [made("h3", text(heading)), list];
  });
  if (name in known.files) {
    const link = made("a", "The record's file");
    link.href = known.files[name];
    parts.push(link);
  }
  return parts;
}

function showRecords(names, number) {
  known ??= data("records");
  const title = (name) => known.texts[known.records[name][0]];
  const found = names.filter((name) => name in known.records);
  const one = found.length === 1;
  document.getElementById("record-head").textContent = one ? title(found[0]) : `${found.length} records behind ${number}`;
  document.getElementById("record-body").replaceChildren(
    ...(one ? describe(found[0]) : found.map((name) => {
      const details = made("details");
      details.append(made("summary", title(name)), ...describe(name));
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

// Of a table's numbers one is a tab stop, and arrow keys go on from it.

const STEP = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function stopAt(button, buttons) {
  buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
}

function rove(table) {
  const buttons = all("button.measured", table);
  stopAt(buttons.find((button) => !button.closest("tr").hidden), buttons);
}

function move(event) {
  const buttons = all("button.measured", event.currentTarget).filter((button) => !button.closest("tr").hidden);
  const at = buttons.indexOf(document.activeElement);
  if (at < 0 || !(event.key in STEP)) return;
  event.preventDefault();
  const next = buttons.at((at + STEP[event.key]) % buttons.length);
  stopAt(next, buttons);
  next.focus();
}

// A filter.

function filterRows(metric) {
  const rows = all("#ablations tbody tr");
  rows.forEach((row) => { row.hidden = metric !== "" && row.dataset.key !== metric; });
  const shown = rows.filter((row) => !row.hidden).length;
  rove(document.querySelector("#ablations table"));
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
  const pictures = data("pictures");

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
      picture.style.backgroundImage = `url("${pictures[path] ?? encodeURI(path)}")`;
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
    const state = new URLSearchParams({ record: current.record, example: exampleInput.value });
    history.replaceState(null, "", `#explorer?${state}`);
  });
  document.getElementById("shown-record").addEventListener("click", () => showRecords([current.record], ""));
  document.getElementById("chooser").hidden = false;
  choose();
  return (state) => {
    Object.assign(choice, entries.find(({ record }) => record === state.get("record")), { example: Number(state.get("example")) || 1 });
    choose();
  };
}

// The address: what it names is unfolded, verdicts are shown alone, and the explorer shows what stands after its name.

function follow(show) {
  const [name, state] = decodeURI(location.hash.slice(1)).split("?");
  const target = name && document.getElementById(name);
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (name === "explorer" && state) show?.(new URLSearchParams(state));
  const groups = all("#verdicts > .claims > .group");
  const alone = groups.includes(target);
  groups.forEach((group) => { group.hidden = alone && group !== target; });
  all(".counts a").forEach((link) => link.setAttribute("aria-current", String(link.hash === location.hash)));
  document.getElementById("claims-status").replaceChildren();
  if (alone) {
    const back = made("a", "Show all");
    back.href = "#verdicts";
    const n = (parts) => parts.flatMap((part) => all(".claim", part)).length;
    document.getElementById("claims-status").append(`Showing ${n([target])} of ${n(groups)} claims. `, back);
  }
  (alone ? document.getElementById("verdicts") : target || undefined)?.scrollIntoView();
}

// A figure as large as the window.

function enlarge(event) {
  event.preventDefault();
  const large = document.getElementById("large");
  const { src, alt } = event.currentTarget.querySelector("img");
  large.querySelector(".scroll").replaceChildren(Object.assign(made("img"), { src, alt }));
  large.showModal();
}

addEventListener("load", () => all("img[loading=lazy]").forEach((img) => { img.loading = "eager"; })); // for printing

all("table[data-sortable]").forEach(makeSortable);
if (dialog) {
  all("span.measured").forEach(makeButton);
  all("table[data-sortable]").forEach((table) => {
    rove(table);
    table.addEventListener("keydown", move);
  });
  all(".controls[hidden]").forEach((controls) => { controls.hidden = false; });
  all("a.zoom").forEach((link) => link.addEventListener("click", enlarge));
  const metric = document.getElementById("metric");
  metric.addEventListener("change", () => filterRows(metric.value));
  if (metric.options.length > 1) metric.selectedIndex = 1;
  filterRows(metric.value);
  const entries = data("explorer");
  const show = entries?.length ? startExplorer(entries) : null;
  addEventListener("hashchange", () => follow(show));
  follow(show);
}
