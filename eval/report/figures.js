// What the page draws: the chosen metric, those that must stand beside it, the legend, and the figure of fidelity.

const DATA = JSON.parse(document.getElementById("data").textContent);
const KINDS = [...new Set(DATA.lines.map(line => line.kind))];
const BESIDE = ["fine_structure", "estoi", "pesq"].filter(name => name in DATA.metrics);
const CURVES = [...new Set(DATA.lines.filter(line => line.kbps !== null).map(line => line.curve))].map((name, _, all) => {
  const ours = n => DATA.lines.find(line => line.curve === n && line.kbps !== null).codec === "ravecodec";
  const number = all.filter(n => ours(n) === ours(name)).indexOf(name);
  return { name, mark: number, colour: `var(--${ours(name) ? "ours" : "other"}-${number % 5})` };
});
const ANCHORS = [...new Set(DATA.lines.filter(l => l.kbps === null && l.codec !== "identity").map(l => l.label))];

const chosen = name => document.querySelector(`input[name="${name}"]:checked`).value;

// Of a metric for one kind only, "overall" means the clips of that kind: the rate of all clips is another.
function kindFor(metric, kind) {
  const only = (DATA.metrics[metric].kinds || []).filter(k => KINDS.includes(k));
  if (!DATA.metrics[metric].kinds || only.includes(kind)) return kind;
  return kind === "overall" && only.length === 1 ? only[0] : null;
}

function titleOf(metric) {
  const about = DATA.metrics[metric];
  return `${about.title.split(",")[0]}${about.unit ? ` (${about.unit})` : ""} ${about.better === "lower" ? "\u2193" : "\u2191"}`;
}

function rateSpec(metric, kind, width, height) {
  const used = kindFor(metric, kind);
  const lines = DATA.lines.filter(line => line.kind === used && line.metrics[metric]);
  const series = CURVES.map(curve => ({
    ...curve,
    points: lines.filter(line => line.curve === curve.name && line.kbps !== null)
      .sort((a, b) => a.kbps - b.kbps)
      .map(line => {
        const [y, low, high] = line.metrics[metric];
        const title = `${line.label}: ${figure(y)} (${figure(low)} to ${figure(high)}) at ${line.kbps.toFixed(2)} kbit/s`;
        return { x: Math.log2(line.kbps), y, low, high, title };
      }),
  }));
  const levels = ANCHORS.map((label, k) => {
    const line = lines.find(each => each.label === label);
    return line && { label, y: line.metrics[metric][0], dash: DASHES[k % DASHES.length] };
  }).filter(Boolean);
  // A hull says more than its curve only where several curves belong to one codec.
  const hulls = Object.values(DATA.hull).map(by => (by[metric] || {})[used] || []).map(labels =>
    labels.map(label => lines.find(line => line.label === label && line.kbps !== null)).filter(Boolean));
  const several = hulls.filter(points => new Set(points.map(line => line.curve)).size > 1);
  const note = used === null ? `${DATA.metrics[metric].title.split(",")[0]} is not defined for ${kind}.` : undefined;
  return {
    width, height, series, levels, note, better: DATA.metrics[metric].better,
    lines: several.map(points => points.map(line => [Math.log2(line.kbps), line.metrics[metric][0]])),
    xTicks: [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256].map(x => [Math.log2(x), String(x)]),
    xLabel: "kbit/s", label: `${titleOf(metric)} against rate, ${used || kind}`,
  };
}

function caption(metric, kind) {
  const used = kindFor(metric, kind);
  return titleOf(metric) + (used && used !== kind ? `, ${used} clips` : "");
}

function newChart(parent, text) {
  const holder = document.createElement("figure");
  holder.innerHTML = '<div class="chart" tabindex="0"></div><figcaption></figcaption>';
  holder.lastChild.textContent = text;
  parent.append(holder);
  watchChart(holder.firstChild);
  return holder.firstChild;
}

function drawFidelity(kind) {
  const parent = document.getElementById("fidelity-charts");
  const lines = DATA.lines.filter(line => line.kind === kind && line.fidelity !== null).sort((a, b) => a.fidelity - b.fidelity);
  document.getElementById("fidelity").hidden = !lines.length;
  if (!lines.length) return;
  const nines = f => -Math.log10(Math.max(1 - f, 1e-6));
  const xTicks = [...new Set(lines.map(line => line.fidelity))].map(f => [nines(f), String(f)]);
  const counted = new Map(lines.filter(line => line.components !== null).map(line => [line.fidelity, line.components]));
  const components = [...counted].map(([f, r]) => ({ x: nines(f), y: r, low: r, high: r, title: `f = ${f}: r = ${figure(r)}` }));
  parent.replaceChildren();
  const shared = { width: 480, height: 260, levels: [], xTicks, xLabel: "fidelity f" };
  drawChart(newChart(parent, "Components kept, r"), { ...shared, zero: true, label: "Components against fidelity", series: [{ name: "r", colour: "var(--ours-1)", mark: 0, points: components }] });
  const distance = "spectral_distance" in DATA.metrics ? "spectral_distance" : Object.keys(DATA.metrics)[0];
  const series = CURVES.map(curve => ({
    ...curve,
    points: lines.filter(line => line.curve === curve.name && line.metrics[distance]).map(line => {
      const [y, low, high] = line.metrics[distance];
      return { x: nines(line.fidelity), y, low, high, title: `${line.label}: ${figure(y)} (${figure(low)} to ${figure(high)})` };
    }),
  }));
  drawChart(newChart(parent, titleOf(distance)), { ...shared, series, label: `${titleOf(distance)} against fidelity` });
}

function drawLegend() {
  const swatch = inner => `<svg viewBox="0 0 30 12" aria-hidden="true">${inner}</svg>`;
  const entries = CURVES.map(c => `<li>${swatch(`<line x1="1" x2="29" y1="6" y2="6" stroke="${c.colour}" stroke-width="1.8"/><g fill="${c.colour}">${MARKS[c.mark % MARKS.length](15, 6, 3.4)}</g>`)}${escapeText(c.name)}</li>`);
  const anchors = ANCHORS.map((label, k) => `<li>${swatch(`<line x1="1" x2="29" y1="6" y2="6" stroke="var(--muted)" stroke-dasharray="${DASHES[k % DASHES.length]}"/>`)}${escapeText(label)}</li>`);
  document.getElementById("legend").innerHTML = [...entries, ...anchors].join("");
}

function drawAll() {
  const kind = chosen("kind"), metric = chosen("metric");
  const main = document.getElementById("chart");
  const narrow = main.clientWidth < 420;
  document.getElementById("chart-caption").textContent = caption(metric, kind);
  const others = BESIDE.filter(name => name !== metric && kindFor(name, kind) !== null);
  // As tall as what stands beside it.
  drawChart(main, rateSpec(metric, kind, narrow ? 420 : 660, narrow ? 330 : others.length > 2 ? 560 : 430));
  const beside = document.getElementById("beside");
  beside.replaceChildren();
  for (const name of others) drawChart(newChart(beside, caption(name, kind)), rateSpec(name, kind, 320, 190));
  for (const block of document.querySelectorAll("[data-kind]")) block.hidden = block.dataset.kind !== kind;
  drawFidelity(kind);
}

watchChart(document.getElementById("chart"));
for (const input of document.querySelectorAll(".choices input")) input.addEventListener("change", drawAll);
const figuresSection = document.getElementById("figures"), hullOnly = document.getElementById("hull-only");
const showHull = () => figuresSection.classList.toggle("hull-only", hullOnly.checked);
hullOnly.addEventListener("change", showHull);
let drawnWidth = 0;
new ResizeObserver(() => {
  const width = document.documentElement.clientWidth;
  if (width !== drawnWidth) { drawnWidth = width; drawAll(); }
}).observe(document.body);
showHull();
drawLegend();
drawAll();
