// Charts as SVG. A mark is one layer: it has its number, can be focused, and shows what it stands for.

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and children. */
function svg(tag, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function line(x1, y1, x2, y2, className) {
  return svg("line", { x1, y1, x2, y2, class: className });
}

function text(x, y, content, attributes = {}) {
  return svg("text", { x, y, ...attributes }, [content]);
}

/** A number with three significant digits, or whole where it has more. */
function digits(x) {
  if (x === 0) return "0";
  if (Math.abs(x) >= 1000) return Math.round(x).toLocaleString("en");
  return Number(x.toPrecision(3)).toString();
}

function percent(x) {
  return `${(100 * x).toFixed(1)} %`;
}

/** Round numbers from 0 to at least `most`, about `count` of them. */
function ticks(most, count = 5) {
  const raw = most / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => i * step);
}

/** The powers of ten from `low` to `high`. */
function decades(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** A picture of a layer: focusable, with what a screen reader says of it. */
function mark(layer, shapes) {
  return svg("g", { class: `mark k${layer.color}`, "data-i": layer.i, role: "button", tabindex: -1, "aria-label": said(layer) }, shapes);
}

/** What is said of a layer. */
function said(l) {
  const speed = l.macs > 0 ? `, ${digits(l.gflops)} GFLOP/s` : "";
  return `${l.layer}, ${l.kind}: ${digits(l.ms)} ms, ${percent(l.share)} of the time${speed}, `
    + `${Math.round(100 * l.roof)} % of the roof, bound by ${l.bound}, ${digits(l.live_bytes / 1e6)} MB alive`;
}

/** An empty chart in its place, as wide as that is. */
function frame(place, label, margin) {
  const [width, height] = [Math.max(place.clientWidth, 280), Number(place.dataset.height)];
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": label });
  place.replaceChildren(root);
  return { root, left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
}

/** Horizontal lines with numbers, and the scale that they stand on. */
function vertical(f, most, unit) {
  const values = ticks(most);
  const y = (value) => f.bottom - (value / values.at(-1)) * (f.bottom - f.top);
  for (const value of values) {
    f.root.append(line(f.left, y(value), f.right, y(value), "grid"));
    f.root.append(text(f.left - 8, y(value) + 4, digits(value), { "text-anchor": "end" }));
  }
  f.root.append(text(f.left - 8, f.top - 10, unit, { "text-anchor": "end" }));
  return y;
}

/** A bar for each layer in order, with the least time that the machine allows. */
function drawTime(place, layers) {
  const f = frame(place, "Time per layer. Arrow keys move between layers, Enter chooses one.", { left: 52, right: 6, top: 24, bottom: 28 });
  const y = vertical(f, Math.max(...layers.map((l) => Math.max(l.ms, l.floor_ms))), "ms");
  const pitch = (f.right - f.left) / layers.length;
  const gap = pitch > 6 ? Math.min(pitch * 0.22, 4) : 0;
  for (const layer of layers) {
    const x = f.left + layer.i * pitch + gap / 2;
    const bar = { x, width: Math.max(pitch - gap, 0.6) };
    f.root.append(mark(layer, [
      svg("rect", { ...bar, y: f.top, height: f.bottom - f.top, class: "hit" }),
      svg("rect", { ...bar, y: y(layer.ms), height: Math.max(f.bottom - y(layer.ms), 0.8), class: "bar" }),
      ...(pitch > 3 ? [line(x, y(layer.floor_ms), x + bar.width, y(layer.floor_ms), "floor")] : []),
    ]));
  }
  f.root.append(line(f.left, f.bottom, f.right, f.bottom, "axis"));
  for (const at of ticks(layers.length, 10).filter((at) => at < layers.length)) {
    f.root.append(text(f.left + (at + 0.5) * pitch, f.bottom + 18, at + 1, { "text-anchor": "middle" }));
  }
}

/** Layers by arithmetic intensity and speed, below the ceilings of the machine. Both axes are logarithmic. */
function drawRoofline(place, layers, ceilings) {
  const f = frame(place, "Roofline. Arrow keys move between layers, Enter chooses one.", { left: 52, right: 12, top: 24, bottom: 42 });
  const shown = layers.filter((l) => l.gflops > 0 && l.intensity > 0);
  const peak = ceilings.fma_gflops;
  const ridges = ceilings.reads.map((r) => peak / r.gb_per_s);
  const xs = [...shown.map((l) => l.intensity), ...ridges];
  const ys = [...shown.map((l) => l.gflops), peak];
  const [x0, x1, y1] = [Math.min(...xs) / 2.5, Math.max(...xs) * 2, Math.max(...ys) * 1.8];
  const y0 = Math.min(...ys) / 2.5;
  const scale = (low, high, from, to) => (v) => from + (Math.log(v / low) / Math.log(high / low)) * (to - from);
  const [x, y] = [scale(x0, x1, f.left, f.right), scale(y0, y1, f.bottom, f.top)];
  for (const v of decades(x0, x1)) {
    f.root.append(line(x(v), f.top, x(v), f.bottom, "grid"), text(x(v), f.bottom + 18, digits(v), { "text-anchor": "middle" }));
  }
  for (const v of decades(y0, y1)) {
    f.root.append(line(f.left, y(v), f.right, y(v), "grid"), text(f.left - 8, y(v) + 4, digits(v), { "text-anchor": "end" }));
  }
  f.root.append(line(f.left, f.bottom, f.right, f.bottom, "axis"), line(f.left, f.top, f.left, f.bottom, "axis"));
  f.root.append(text(f.left - 8, f.top - 10, "GFLOP/s", { "text-anchor": "middle" }));
  f.root.append(text((f.left + f.right) / 2, f.bottom + 37, "operations for each byte moved", { "text-anchor": "middle" }));

  const labels = [];
  for (const { level, gb_per_s } of ceilings.reads) {
    const start = Math.max(x0, y0 / gb_per_s);
    f.root.append(line(x(start), y(start * gb_per_s), x(peak / gb_per_s), y(peak), "roof memory"));
    labels.push({ x: x(start) + 6, y: y(start * gb_per_s) - 6, content: `${level} ${digits(gb_per_s)} GB/s` });
  }
  const ridge = Math.min(...ridges);
  f.root.append(line(x(ridge), y(peak), f.right, y(peak), "roof"));

  for (const layer of [...shown].sort((a, b) => b.ms - a.ms)) {
    const r = 3 + 11 * Math.sqrt(layer.ms / Math.max(...shown.map((l) => l.ms)));
    f.root.append(mark(layer, [svg("circle", { cx: x(layer.intensity), cy: y(layer.gflops), r, class: "point" })]));
  }
  // From the slowest level up, each label at least a line above the one before.
  labels.reverse();
  labels.forEach((label, i) => {
    if (i > 0) label.y = Math.min(label.y, labels[i - 1].y - 15);
    f.root.append(text(label.x, label.y, label.content, { class: "label" }));
  });
  f.root.append(text(f.right - 4, y(peak) - 8, `multiply-adds ${digits(peak)} GFLOP/s`, { class: "label", "text-anchor": "end" }));
}

/** The bytes of the arena in use over the time of a run, and how many it has. */
function drawMemory(place, layers, arena) {
  const f = frame(place, "Memory over time. Arrow keys move between layers, Enter chooses one.", { left: 52, right: 6, top: 24, bottom: 42 });
  const y = vertical(f, Math.max(arena, 1) / 1e6, "MB");
  const total = layers.reduce((sum, l) => sum + l.ms, 0) || 1;
  const x = (ms) => f.left + (ms / total) * (f.right - f.left);
  const area = (bytes, floor) => {
    let [at, above, below] = [0, "", ""];
    for (const l of layers) {
      const [from, to] = [x(at).toFixed(2), x(at += l.ms).toFixed(2)];
      above += `L${from} ${y(bytes(l) / 1e6).toFixed(2)}L${to} ${y(bytes(l) / 1e6).toFixed(2)}`;
      below = `L${to} ${y(floor(l) / 1e6).toFixed(2)}L${from} ${y(floor(l) / 1e6).toFixed(2)}${below}`;
    }
    return `M${above.slice(1)}${below}Z`;
  };
  const values = (l) => l.live_bytes - l.bytes.scratch;
  f.root.append(svg("path", { d: area(values, () => 0), class: "area" }));
  f.root.append(svg("path", { d: area((l) => l.live_bytes, values), class: "area scratch" }));
  let at = 0;
  for (const layer of layers) {
    const from = x(at);
    at += layer.ms;
    f.root.append(mark(layer, [svg("rect", { x: from, y: f.top, width: Math.max(x(at) - from, 0.6), height: f.bottom - f.top, class: "hit" })]));
  }
  f.root.append(line(f.left, y(arena / 1e6), f.right, y(arena / 1e6), "roof memory"), line(f.left, f.bottom, f.right, f.bottom, "axis"));
  for (const ms of ticks(total, 8).filter((ms) => ms <= total)) {
    f.root.append(text(x(ms), f.bottom + 18, digits(ms), { "text-anchor": "middle" }));
  }
  f.root.append(text((f.left + f.right) / 2, f.bottom + 37, "ms from the start of the run", { "text-anchor": "middle" }));
}

/** For each kind, what its energy goes to. */
function drawEnergy(place, kinds, parts) {
  const f = frame(place, "Energy by kind of layer", { left: 8, right: 70, top: 4, bottom: 4 });
  f.root.setAttribute("role", "list");
  const total = (k) => parts.reduce((sum, [key]) => sum + k.energy_mj[key], 0);
  const shown = [...kinds].sort((a, b) => total(b) - total(a)).slice(0, 10);
  const most = Math.max(...shown.map(total)) || 1;
  const pitch = Math.min((f.bottom - f.top) / shown.length, 56);
  shown.forEach((k, row) => {
    const y = f.top + row * pitch;
    let x = f.left;
    const bars = parts.map(([key], i) => {
      const width = (k.energy_mj[key] / most) * (f.right - f.left);
      const bar = svg("rect", { x, y: y + 19, width, height: Math.max(pitch - 32, 7), class: `part e${i}` });
      x += width;
      return bar;
    });
    const words = parts.map(([key, name]) => `${name} ${digits(k.energy_mj[key])}`).join(", ");
    const label = `${k.kind}: ${digits(total(k))} millijoules; ${words}`;
    f.root.append(svg("g", { role: "listitem", "aria-label": label }, [
      svg("title", {}, [label]),
      text(f.left, y + 13, k.kind, { class: "name" }),
      ...bars,
      text(x + 8, y + 19 + Math.max(pitch - 32, 7) / 2 + 4, `${digits(total(k))} mJ`),
    ]));
  });
}
