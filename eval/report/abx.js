// The blind test: X is A or B by the browser's random numbers; the tally is kept in the page.

// The probability of at least `right` of `trials` by guessing.
function guessing(right, trials) {
  let term = 0.5 ** trials, sum = 0;
  for (let k = 0; k <= trials; k++) {
    if (k >= right) sum += term;
    term *= (trials - k) / (k + 1);
  }
  return Math.min(1, sum);
}

const abx = { tally: new Map(), x: null };

if (DATA.clips.length) {
  const element = id => document.getElementById(id);
  const [clip, a, b, planned, result] = ["abx-clip", "abx-a", "abx-b", "abx-planned", "abx-result"].map(element);
  const panel = element("abx-panel"), options = names => names.map((name, k) => new Option(name, String(k)));
  const buttons = [...panel.querySelectorAll("[data-play]")], answers = [...panel.querySelectorAll("[data-answer]")];
  const stopped = () => buttons.forEach(each => each.dataset.play !== "stop" && each.setAttribute("aria-pressed", "false"));
  const number = p => (p < 0.001 ? "< 0.001" : p.toFixed(3)), equal = p => (p < 0.001 ? number(p) : `= ${number(p)}`);

  const versionOf = which => Number((which === "x" ? (abx.x === "a" ? a : b) : which === "a" ? a : b).value);
  const state = () => {
    const key = [clip.value, a.value, b.value].join(" ");
    return abx.tally.get(key) || { key, trials: 0, right: 0 };
  };
  const draw = () => { abx.x = crypto.getRandomValues(new Uint8Array(1))[0] & 1 ? "a" : "b"; };
  const ready = () => {
    const same = a.value === b.value, done = state().trials >= Number(planned.value);
    answers.forEach(each => { each.disabled = same || done; });
    if (same) result.textContent = "A and B are the same: choose two versions.";
    return !same;
  };

  function say(before) {
    const { trials, right } = state();
    if (!ready()) return;
    if (!trials) { result.textContent = "No trial yet."; return; }
    const done = trials >= Number(planned.value) ? " The test is complete." : "";
    result.textContent = `${before}${right} of ${trials} right (${planned.value} planned), p ${equal(guessing(right, trials))}.${done}`;
  }

  function listen(which) {
    if (which === "stop") { stop(); stopped(); return; }
    stopped();
    buttons.find(each => each.dataset.play === which).setAttribute("aria-pressed", "true");
    play(Number(clip.value), versionOf(which), stopped);
  }

  function answer(which) {
    if (!ready() || answers[0].disabled) return;
    const now = state(), right = which === abx.x;
    abx.tally.set(now.key, { ...now, trials: now.trials + 1, right: now.right + (right ? 1 : 0) });
    const said = `${right ? "Right" : "Wrong"}, X was ${abx.x.toUpperCase()}. `;
    stop();
    draw();
    table();
    say(said);
  }

  function table() {
    element("abx-tally").replaceChildren(...[...abx.tally.values()].map(({ key, trials, right }) => {
      const [c, first, second] = key.split(" ").map(Number), row = document.createElement("tr");
      const { clip: name, versions } = DATA.clips[c];
      [name, versions[first], versions[second], trials, right, number(guessing(right, trials))].forEach((text, k) => {
        const cell = document.createElement(k ? "td" : "th");
        if (!k) cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }));
  }

  function versions() {
    const names = DATA.clips[Number(clip.value)].versions;
    a.replaceChildren(...options(names));
    b.replaceChildren(...options(names));
    b.value = String(Math.min(1, names.length - 1));
  }

  function restart() { stop(); draw(); say(""); }

  clip.replaceChildren(...options(DATA.clips.map(each => each.clip)));
  versions();
  clip.addEventListener("change", () => { versions(); restart(); });
  for (const each of [a, b]) each.addEventListener("change", restart);
  planned.addEventListener("change", () => say(""));
  buttons.forEach(each => each.addEventListener("click", () => listen(each.dataset.play)));
  answers.forEach(each => each.addEventListener("click", () => answer(each.dataset.answer)));
  element("abx-reset").addEventListener("click", () => { abx.tally.clear(); table(); restart(); });
  panel.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input")) return;
    const key = event.key.toLowerCase();
    if ("abx".includes(key) && key.length === 1) listen(key);
    else if (key === "s") listen("stop");
    else if (key === "1" || key === "2") answer(key === "1" ? "a" : "b");
    else return;
    event.preventDefault();
  });
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", event => event.preventDefault());
  draw();
  ready();
}
