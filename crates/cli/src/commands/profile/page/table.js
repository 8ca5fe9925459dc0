// The table of layers: sorted by its head, filtered from outside.

/** Columns: head, value that sorts, and what is shown where that is another; `word` for those that are no numbers. */
const COLUMNS = [
  { head: "#", value: (l) => l.i + 1 },
  { head: "layer", word: true, value: (l) => l.layer },
  { head: "kind", word: true, value: (l) => l.kind, swatch: true },
  { head: "output", word: true, value: (l) => l.output },
  { head: "schedule", word: true, value: (l) => l.choice || l.kernel },
  { head: "ms", value: (l) => l.ms, show: (l) => l.ms.toFixed(4), sum: (x) => x.toFixed(3) },
  { head: "share", value: (l) => l.share, show: (l) => percent(l.share), sum: percent, bar: true },
  { head: "GFLOP/s", value: (l) => l.gflops, show: (l) => (l.macs > 0 ? digits(l.gflops) : "") },
  { head: "GB/s", value: (l) => l.gb_per_s, show: (l) => digits(l.gb_per_s) },
  { head: "FLOP/B", value: (l) => l.intensity, show: (l) => (l.macs > 0 ? digits(l.intensity) : "") },
  { head: "bound", word: true, value: (l) => l.bound },
  { head: "of roof", value: (l) => l.roof, show: (l) => `${Math.round(100 * l.roof)} %` },
  { head: "MB alive", value: (l) => l.live_bytes, show: (l) => (l.live_bytes / 1e6).toFixed(2) },
  { head: "mJ", value: (l) => l.energy, show: (l) => digits(l.energy), sum: digits },
  { head: "merged nodes", word: true, value: (l) => l.merged.join(", ") },
];

/** Builds the head; `sorted` is told when the order is to change. */
function buildHead(table, sorted) {
  const heads = COLUMNS.map((column, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: column.head });
    button.addEventListener("click", () => sorted(index));
    const head = document.createElement("th");
    head.scope = "col";
    head.className = column.word ? "word" : "";
    head.append(button);
    return head;
  });
  table.tHead.rows[0].replaceChildren(...heads);
}

/** Layers in the order of a column; equal ones stay in the order of the run. */
function inOrder(layers, { column, down }) {
  const value = COLUMNS[column].value;
  const compare = COLUMNS[column].word ? (a, b) => value(a).localeCompare(value(b)) : (a, b) => value(a) - value(b);
  return [...layers].sort((a, b) => (down ? compare(b, a) : compare(a, b)));
}

function cell(column, layer) {
  const td = document.createElement("td");
  const shown = String((column.show ?? column.value)(layer));
  if (column.word) {
    td.className = "word";
    td.title = shown;
  }
  if (column.swatch) td.append(Object.assign(document.createElement("span"), { className: `swatch k${layer.color}` }));
  if (column.bar) {
    td.className = `share k${layer.color}`;
    td.style.setProperty("--part", `${100 * (layer.share / layer.mostShare)}%`);
  }
  td.append(shown);
  return td;
}

/** Fills the table with layers in an order, and its foot with their sums. */
function fillTable(table, layers, sort) {
  table.tHead.rows[0].childNodes.forEach((head, index) => {
    if (index === sort.column) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  const rows = inOrder(layers, sort).map((layer, position) => {
    const row = document.createElement("tr");
    row.dataset.i = layer.i;
    row.tabIndex = position === 0 ? 0 : -1;
    row.append(...COLUMNS.map((column) => cell(column, layer)));
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  const sums = COLUMNS.map((column) => {
    const td = document.createElement("td");
    if (column.sum) td.textContent = column.sum(layers.reduce((sum, layer) => sum + column.value(layer), 0));
    return td;
  });
  sums[1].textContent = "sum";
  sums[1].className = "word";
  table.tFoot.rows[0].replaceChildren(...sums);
}
