// A line chart as SVG text: series with intervals, levels across, and a cursor for pointer and keyboard.

const MARKS = [
  (x, y, s) => `<circle cx="${x}" cy="${y}" r="${s}"/>`,
  (x, y, s) => `<rect x="${x - s}" y="${y - s}" width="${2 * s}" height="${2 * s}"/>`,
  (x, y, s) => `<path d="M${x} ${y - 1.35 * s}L${x + 1.35 * s} ${y}L${x} ${y + 1.35 * s}L${x - 1.35 * s} ${y}Z"/>`,
  (x, y, s) => `<path d="M${x} ${y - 1.25 * s}L${x + 1.2 * s} ${y + s}L${x - 1.2 * s} ${y + s}Z"/>`,
  (x, y, s) => `<path d="M${x} ${y + 1.25 * s}L${x + 1.2 * s} ${y - s}L${x - 1.2 * s} ${y - s}Z"/>`,
];
const DASHES = ["1 3", "6 3", "8 3 2 3", "3 5", "10 4"];

const escapeText = text => String(text).replace(/[&<>"]/g, c => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const figure = value => {
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toFixed(3);
  return text.replace("-", "\u2212");
};

function niceTicks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0)) };
}

// spec: { width, height, series: [{name, colour, mark, points: [{x, y, low, high, title}]}], lines: [[[x, y]…]],
//         levels: [{label, y, dash}], xTicks: [[x, text]…], xLabel, note }; x is already on its scale (a logarithm, say).
function drawChart(box, spec) {
  const { width, height } = spec;
  const pad = { left: 46, right: 10, top: 8, bottom: spec.xLabel ? 42 : 26 };
  const points = spec.series.flatMap(s => s.points);
  if (!points.length) {
    box.innerHTML = `<p>${escapeText(spec.note || "No value for these clips.")}</p>`;
    box._points = [];
    return;
  }
  let low = Math.min(...points.map(p => p.low)), high = Math.max(...points.map(p => p.high));
  if (spec.zero) low = Math.min(0, low);
  const reach = Math.max(high - low, 1e-6);
  const inside = spec.levels.filter(l => l.y >= low - 0.6 * reach && l.y <= high + 0.6 * reach);
  const outside = spec.levels.filter(l => !inside.includes(l));
  low = Math.min(low, ...inside.map(l => l.y));
  high = Math.max(high, ...inside.map(l => l.y));
  const margin = 0.06 * Math.max(high - low, 1e-6);
  if (!(spec.zero && low === 0)) low -= margin;
  high += margin;
  const xs = points.map(p => p.x);
  const spread = Math.max(Math.max(...xs) - Math.min(...xs), 0.2);
  const left = Math.min(...xs) - 0.05 * spread, right = Math.max(...xs) + 0.05 * spread;
  const X = x => +(pad.left + (x - left) / (right - left) * (width - pad.left - pad.right)).toFixed(1);
  const Y = y => +(height - pad.bottom - (y - low) / (high - low) * (height - pad.top - pad.bottom)).toFixed(1);
  const parts = [];
  const { ticks, digits } = niceTicks(low, high, height > 250 ? 6 : 4);
  for (const tick of ticks) {
    parts.push(`<line class="grid" x1="${pad.left}" x2="${width - pad.right}" y1="${Y(tick)}" y2="${Y(tick)}"/>`);
    parts.push(`<text x="${pad.left - 7}" y="${Y(tick) + 4}" text-anchor="end">${tick.toFixed(digits).replace("-", "\u2212")}</text>`);
  }
  let last = -100;
  for (const [x, text] of spec.xTicks.filter(([x]) => x >= left && x <= right)) {
    parts.push(`<line class="axis" x1="${X(x)}" x2="${X(x)}" y1="${height - pad.bottom}" y2="${height - pad.bottom + 4}"/>`);
    if (X(x) - last < 24) continue;
    parts.push(`<text x="${X(x)}" y="${height - pad.bottom + 17}" text-anchor="middle">${escapeText(text)}</text>`);
    last = X(x);
  }
  parts.push(`<line class="axis" x1="${pad.left}" x2="${width - pad.right}" y1="${height - pad.bottom}" y2="${height - pad.bottom}"/>`);
  if (spec.xLabel) parts.push(`<text x="${(pad.left + width - pad.right) / 2}" y="${height - 4}" text-anchor="middle">${escapeText(spec.xLabel)}</text>`);
  for (const level of inside) {
    parts.push(`<line class="anchor" stroke-dasharray="${level.dash}" x1="${pad.left}" x2="${width - pad.right}" y1="${Y(level.y)}" y2="${Y(level.y)}"/>`);
  }
  for (const s of spec.series) {
    const p = s.points;
    if (p.length > 1) {
      const band = [...p.map(q => `${X(q.x)} ${Y(q.high)}`), ...p.map(q => `${X(q.x)} ${Y(q.low)}`).reverse()];
      parts.push(`<path class="band" fill="${s.colour}" d="M${band.join("L")}Z"/>`);
      parts.push(`<path class="line" stroke="${s.colour}" d="M${p.map(q => `${X(q.x)} ${Y(q.y)}`).join("L")}"/>`);
    } else if (p.length) {
      parts.push(`<line stroke="${s.colour}" x1="${X(p[0].x)}" x2="${X(p[0].x)}" y1="${Y(p[0].low)}" y2="${Y(p[0].high)}"/>`);
    }
    parts.push(`<g fill="${s.colour}">${p.map(q => MARKS[s.mark % MARKS.length](X(q.x), Y(q.y), width > 400 ? 3.6 : 2.8)).join("")}</g>`);
  }
  for (const line of spec.lines || []) parts.push(`<path class="hull" d="M${line.map(([x, y]) => `${X(x)} ${Y(y)}`).join("L")}"/>`);
  // Names last, with a halo of paper, so that no curve runs through them.
  let previous = -100;
  if (width > 400) {
    for (const level of [...inside].sort((a, b) => Y(a.y) - Y(b.y))) {
      const y = Y(level.y) - 5;
      const half = 3.4 * level.label.length, middle = (pad.left + width - pad.right) / 2;
      const places = [pad.left + 6 + half, width - pad.right - 6 - half, middle, middle / 2 + half, 1.5 * middle];
      const free = x => points.every(p => Math.abs(X(p.x) - x) > half + 12 || Math.abs(Y(p.y) - y + 4) > 16);
      const x = places.find(free) ?? places[0];
      if (y - previous > 13) parts.push(`<text class="halo" x="${x.toFixed(1)}" y="${y}" text-anchor="middle">${escapeText(level.label)}</text>`);
      previous = y;
    }
    const fall = spec.better === "lower";
    outside.forEach((level, k) => {
      const y = fall ? pad.top + 12 + 15 * k : height - pad.bottom - 8 - 15 * (outside.length - 1 - k);
      parts.push(`<text class="halo" x="${width - pad.right - 2}" y="${y}" text-anchor="end">off scale: ${escapeText(level.label)} ${figure(level.y)}</text>`);
    });
  }
  parts.push(`<circle class="cursor" r="7" visibility="hidden"/>`);
  box.innerHTML = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(spec.label)}">${parts.join("")}</svg>`;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${spec.label}; arrow keys go from point to point`);
  box._points = points.map(p => ({ ...p, px: X(p.x), py: Y(p.y) }));
  box._width = width;
  box._at = -1;
}

function showPoint(box, index) {
  const tip = document.getElementById("tip");
  const cursor = box.querySelector(".cursor");
  const point = box._points && box._points[index];
  box._at = point ? index : -1;
  tip.hidden = !point;
  if (!cursor) return;
  cursor.setAttribute("visibility", point ? "visible" : "hidden");
  if (!point) return;
  cursor.setAttribute("cx", point.px);
  cursor.setAttribute("cy", point.py);
  tip.textContent = point.title;
  const frame = box.getBoundingClientRect(), scale = frame.width / box._width;
  const half = Math.min(136, tip.offsetWidth / 2 + 4), wide = document.documentElement.clientWidth;
  const x = Math.max(half + 4, Math.min(wide - half - 4, frame.left + point.px * scale));
  tip.style.left = `${x + window.scrollX - tip.offsetWidth / 2}px`;
  tip.style.top = `${frame.top + window.scrollY + point.py * scale - tip.offsetHeight - 12}px`;
}

function watchChart(box) {
  box.addEventListener("pointermove", event => {
    const frame = box.getBoundingClientRect(), scale = frame.width / (box._width || 1);
    const x = (event.clientX - frame.left) / scale, y = (event.clientY - frame.top) / scale;
    let best = -1, nearest = 30 ** 2;
    (box._points || []).forEach((p, k) => {
      const distance = (p.px - x) ** 2 + (p.py - y) ** 2;
      if (distance < nearest) [best, nearest] = [k, distance];
    });
    showPoint(box, best);
  });
  box.addEventListener("pointerleave", () => showPoint(box, -1));
  box.addEventListener("blur", () => showPoint(box, -1));
  box.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !(box._points || []).length) return;
    event.preventDefault();
    const count = box._points.length;
    showPoint(box, box._at < 0 ? (step > 0 ? 0 : count - 1) : (box._at + step + count) % count);
  });
}
