// The page: data in, charts and table out, and one layer at a time chosen in all of them.

const data = JSON.parse(document.getElementById("data").textContent);
const place = (id) => document.getElementById(id);
/** Colors for the kinds that take longest; the others share the last. */
const COLORS = 8;
const PARTS = [["arithmetic", "arithmetic"], ["weights", "weights, from caches"], ["activations", "activations, in caches"], ["dram", "DRAM"]];

const mostShare = Math.max(...data.layers.map((l) => l.share));
const colors = new Map(data.kinds.map((k, i) => [k.kind, Math.min(i, COLORS)]));
const layers = data.layers.map((l, i) => ({
  ...l, i, mostShare,
  color: colors.get(l.kind),
  energy: PARTS.reduce((sum, [key]) => sum + l.energy_mj[key], 0),
  words: [l.layer, ...l.merged, l.kind, l.op, l.choice, l.kernel, l.output, l.bound].join("\n").toLowerCase(),
}));
const state = { kind: "", words: "", chosen: -1, sort: { column: 0, down: false } };

const isShown = (l) => (!state.kind || l.kind === state.kind) && state.words.split(/\s+/).every((word) => l.words.includes(word));

function make(tag, properties = {}, children = []) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A term and what it is, with a remark. */
function fact(term, value, remark = "") {
  const small = remark ? [make("small", { textContent: remark })] : [];
  return make("div", {}, [make("dt", { textContent: term }), make("dd", {}, [value, ...small])]);
}

const megabytes = (bytes) => `${digits(bytes / 1e6)} MB`;

function drawHead() {
  const { machine, ceilings, measured } = data;
  document.title = `${data.model} - tilewise profile`;
  place("model").textContent = data.model;
  const threads = machine.threads === 1 ? "1 thread" : `${machine.threads} threads`;
  place("machine").textContent = `${machine.cpu} · ${machine.isa} · ${threads} · batch ${data.batch} · ${data.runs} runs measured`;
  const gflops = (2 * data.macs) / data.ms / 1e6;
  const energy = layers.reduce((sum, l) => sum + l.energy, 0);
  const dram = measured.dram_mj === null ? "" : `, ${digits(measured.dram_mj)} mJ in memory`;
  place("tiles").replaceChildren(
    fact("Time of a run", `${digits(data.median_ms)} ms`, `median; ${digits(data.fastest_ms)} ms fastest`),
    fact("Rate", `${digits((1e3 * data.batch) / data.median_ms)} / s`, "images"),
    fact("Speed", `${digits(gflops)} GFLOP/s`, `${percent(gflops / ceilings.fma_gflops)} of the multiply-add peak`),
    fact("Multiply-adds", `${digits(data.macs / 1e6)} M`, `${layers.length} steps`),
    fact("Weights", megabytes(data.weight_bytes), "as packed for the kernels"),
    fact("Arena", megabytes(data.arena_bytes), "activations and scratch"),
    fact("Energy, modelled", `${digits(energy)} mJ`, data.energy_table.name),
    measured.package_mj === null
      ? fact("Energy, measured", "not available", measured.unavailable)
      : fact("Energy, measured", `${digits(measured.package_mj)} mJ`, `processor packages, a run${dram}`),
  );
}

function drawKinds() {
  place("share").replaceChildren(...data.kinds.map((k) => {
    const part = make("i", { className: `k${colors.get(k.kind)}` });
    part.style.flexGrow = k.share;
    return part;
  }));
  place("kinds").replaceChildren(...data.kinds.map((k) => {
    const button = make("button", { type: "button" }, [
      make("span", { className: `swatch k${colors.get(k.kind)}` }),
      make("span", { textContent: k.kind }),
      make("span", { className: "quiet", textContent: percent(k.share) }),
    ]);
    button.dataset.kind = k.kind;
    button.title = `${k.steps} steps, ${digits(k.ms)} ms, ${digits(k.gflops)} GFLOP/s, ${Math.round(100 * k.roof)} % of the roof`;
    button.addEventListener("click", () => filterKind(state.kind === k.kind ? "" : k.kind));
    return button;
  }));
  const options = [["", "all"], ...data.kinds.map((k) => [k.kind, `${k.kind} (${k.steps})`])];
  place("kind").replaceChildren(...options.map(([value, textContent]) => make("option", { value, textContent })));
}

function drawWords() {
  const idle = layers.filter((l) => l.macs === 0);
  const share = idle.reduce((sum, l) => sum + l.share, 0);
  const notes = [];
  if (idle.length > 0) notes.push(`Not in this plot: steps without multiply-adds (${idle.length} of ${layers.length}, ${percent(share)} of the time).`);
  if (layers.some((l) => l.kernel.includes("winograd"))) {
    notes.push("Winograd kernels get by with fewer multiplications than a layer is counted for, so that their points may lie above the roof.");
  }
  place("roofline-note").textContent = notes.join(" ");
  place("energy-text").textContent = `A model, by the table "${data.energy_table.name}": multiply-adds, and every operand once from or to the level of memory that it is found in.`;
  place("energy-note").textContent = `Figures: ${data.energy_table.source || "of the given table"}. What a core spends on instructions, registers and waiting is not in them.`;
  const swatch = (className, word) => make("span", {}, [make("i", { className: `swatch ${className}` }), word]);
  place("energy-legend").replaceChildren(...PARTS.map(([, word], i) => swatch(`e${i}`, word)));
  place("memory-text").textContent = `Bytes of the arena in use while each layer runs. The dashed line is what the arena has: ${megabytes(data.arena_bytes)}. Weights (${megabytes(data.weight_bytes)}) stand elsewhere.`;
  place("memory-legend").replaceChildren(swatch("area", "activations"), swatch("area scratch", "scratch of the step"));
}

function drawCharts() {
  drawTime(place("time"), layers);
  drawRoofline(place("roofline"), layers, data.ceilings);
  drawMemory(place("memory"), layers, data.arena_bytes);
  drawEnergy(place("energy"), data.kinds, PARTS);
  showState();
}

function filterKind(kind) {
  state.kind = kind;
  place("kind").value = kind;
  fill();
}

function fill() {
  const shown = layers.filter(isShown);
  fillTable(place("table"), shown, state.sort);
  place("count").textContent = `${shown.length} of ${layers.length} layers`;
  showState();
}

/** Dims what the filter leaves out, marks what is chosen, and lets Tab stop at one mark of each chart. */
function showState() {
  for (const button of place("kinds").children) button.setAttribute("aria-pressed", button.dataset.kind === state.kind);
  for (const chart of document.querySelectorAll(".chart svg")) {
    let stop = null;
    for (const g of chart.querySelectorAll(".mark")) {
      const i = Number(g.dataset.i);
      g.classList.toggle("dim", !isShown(layers[i]));
      g.classList.toggle("chosen", i === state.chosen);
      g.setAttribute("tabindex", -1);
      if (i === state.chosen || (!stop && isShown(layers[i]))) stop = g;
    }
    stop?.setAttribute("tabindex", 0);
  }
  for (const row of place("table").tBodies[0].rows) row.classList.toggle("chosen", Number(row.dataset.i) === state.chosen);
}

function choose(i) {
  state.chosen = i === state.chosen ? -1 : i;
  const detail = place("detail");
  detail.hidden = state.chosen < 0;
  if (!detail.hidden) detail.replaceChildren(details(layers[i]));
  showState();
}

/** All that is known of a layer. */
function details(l) {
  const close = make("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => choose(l.i));
  const moved = `weights ${megabytes(l.bytes.weights)}, in ${megabytes(l.bytes.inputs)}, out ${megabytes(l.bytes.outputs)}, scratch ${megabytes(l.bytes.scratch)}`;
  const energy = PARTS.map(([key, word]) => `${word} ${digits(l.energy_mj[key])}`).join("; ");
  return make("div", { className: "inner" }, [close, make("h3", { textContent: l.layer }), make("dl", {}, [
    fact("Kind", l.kind),
    fact("Output", l.output),
    fact("Schedule", l.choice || l.kernel),
    fact("Time", `${l.ms.toFixed(4)} ms, ${percent(l.share)}; at least ${l.floor_ms.toFixed(4)} ms by ${l.bound}`),
    fact("Multiply-adds", digits(l.macs)),
    fact("Speed", `${digits(l.gflops)} GFLOP/s, ${digits(l.gb_per_s)} GB/s, ${digits(l.intensity)} FLOP/B`),
    fact("Bytes", moved),
    fact("Energy", `${digits(l.energy)} mJ: ${energy}`),
    ...(l.merged.length > 0 ? [fact("Nodes of the model that run with it", l.merged.join(", "))] : []),
  ])]);
}

/** Arrow keys, Home and End move the focus among marks or rows; Enter and the space bar choose; Escape lets go. */
function keys(event) {
  const item = event.target.closest(".mark, tbody tr");
  if (event.key === "Escape" && state.chosen >= 0) return choose(state.chosen);
  if (!item) return;
  const items = [...item.parentNode.querySelectorAll(":scope > .mark:not(.dim), :scope > tr")];
  // Points are drawn by size; the focus goes by the order of the run, rows by theirs.
  if (item.matches(".mark")) items.sort((a, b) => a.dataset.i - b.dataset.i);
  const at = items.indexOf(item);
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") choose(Number(item.dataset.i));
  else if (to === undefined) return;
  else {
    const next = items[Math.max(0, Math.min(to, items.length - 1))];
    item.setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  }
  event.preventDefault();
}

function showTip(item) {
  const tip = place("tip");
  const mark = item?.closest?.(".mark");
  tip.hidden = !mark;
  if (!mark) return;
  const l = layers[mark.dataset.i];
  const words = said(l).slice(l.layer.length + 2);
  tip.replaceChildren(make("b", { textContent: l.layer }), words);
  const shape = (mark.querySelector(".bar, .point") ?? mark).getBoundingClientRect();
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(shape.x + shape.width / 2 - box.width / 2, innerWidth - box.width - 8))}px`;
  tip.style.top = `${shape.y - box.height - 10 < 8 ? shape.bottom + 10 : shape.y - box.height - 10}px`;
}

buildHead(place("table"), (column) => {
  // Numbers are of interest from the largest down, words and the order of the run from the first up.
  const first = !COLUMNS[column].word && column > 0;
  state.sort = { column, down: state.sort.column === column ? !state.sort.down : first };
  fill();
});
place("filter").addEventListener("input", (event) => {
  state.words = event.target.value.trim().toLowerCase();
  fill();
});
place("kind").addEventListener("change", (event) => filterKind(event.target.value));
place("controls").addEventListener("submit", (event) => event.preventDefault());
place("theme").addEventListener("click", ({ currentTarget: button }) => {
  const root = document.documentElement;
  const dark = button.getAttribute("aria-pressed") !== "true";
  root.style.colorScheme = dark ? "dark" : "light";
  button.setAttribute("aria-pressed", dark);
});
place("theme").setAttribute("aria-pressed", matchMedia("(prefers-color-scheme: dark)").matches);
document.addEventListener("keydown", keys);
document.addEventListener("click", (event) => {
  const item = event.target.closest(".mark, tbody tr");
  if (item) choose(Number(item.dataset.i));
});
document.addEventListener("pointerover", (event) => showTip(event.target));
document.addEventListener("focusin", (event) => showTip(event.target));
// What the keyboard is at keeps its words when it is scrolled into the window.
document.addEventListener("scroll", () => showTip(document.querySelector(".mark:focus-visible")), true);

drawHead();
drawKinds();
drawWords();
drawCharts();
fill();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) drawCharts();
  width = innerWidth;
});
