// Versions of a sound that take over from each other at the same place. The sounds are those of the page's audio elements.

const FADE = 0.012;
let context = null;
const decoded = new Map();

function soundContext() {
  context = context || new AudioContext({ sampleRate: 48000 });
  return context;
}

// The decoded samples of one version; decoding happens once.
function sound(clip, version) {
  const id = `audio-${clip}-${version}`;
  if (!decoded.has(id)) {
    const text = atob(document.getElementById(id).getAttribute("src").split(",")[1]);
    const bytes = Uint8Array.from(text, c => c.charCodeAt(0));
    decoded.set(id, soundContext().decodeAudioData(bytes.buffer));
  }
  return decoded.get(id);
}

// One thing plays at a time; `playing` is null or says what, since when, and whom to tell when it stops.
let playing = null, wanted = 0;

function place() {
  return playing ? (context.currentTime - playing.since) % playing.duration : 0;
}

async function play(clip, version, stopped) {
  const request = ++wanted;
  const buffer = await sound(clip, version);
  await soundContext().resume();
  if (request !== wanted) return;
  const follows = playing && playing.clip === clip && playing.stopped === stopped;
  const offset = follows ? place() : 0;
  if (playing) release(!follows);
  const source = context.createBufferSource(), gain = context.createGain(), now = context.currentTime;
  source.buffer = buffer;
  source.loop = true;
  source.connect(gain).connect(context.destination);
  gain.gain.setValueAtTime(0, now);
  gain.gain.linearRampToValueAtTime(1, now + FADE);
  source.start(now, offset);
  playing = { clip, version, source, gain, since: now - offset, duration: buffer.duration, stopped };
}

function release(tell) {
  const { source, gain, stopped } = playing, now = context.currentTime;
  gain.gain.cancelScheduledValues(now);
  gain.gain.setValueAtTime(gain.gain.value, now);
  gain.gain.linearRampToValueAtTime(0, now + FADE);
  source.stop(now + FADE);
  playing = null;
  if (tell) stopped();
}

function stop() {
  wanted++;
  if (playing) release(true);
}

for (const article of document.querySelectorAll(".clip")) {
  const clip = Number(article.dataset.clip);
  const cards = [...article.querySelectorAll(".card")], button = article.querySelector(".play");
  const now = article.querySelector(".now");
  let current = 0;
  const stopped = () => { button.setAttribute("aria-pressed", "false"); button.textContent = "Play"; };
  const start = () => {
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop";
    play(clip, current, stopped);
  };
  const isOn = () => button.getAttribute("aria-pressed") === "true";
  const choose = (index, focus) => {
    current = index;
    cards.forEach((card, k) => {
      card.setAttribute("aria-checked", String(k === index));
      card.tabIndex = k === index ? 0 : -1;
    });
    now.textContent = DATA.clips[clip].versions[index];
    if (focus) cards[index].focus();
    if (isOn()) play(clip, index, stopped);
  };
  button.addEventListener("click", () => (isOn() ? stop() : start()));
  cards.forEach((card, k) => card.addEventListener("click", () => { choose(k); if (!isOn()) start(); }));
  article.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("details")) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const number = Number(event.key);
    if (step && event.target.closest(".cards")) choose((current + step + cards.length) % cards.length, true);
    else if (number >= 1 && number <= cards.length) choose(number - 1, Boolean(event.target.closest(".cards")));
    else if (event.key === " " && !event.target.closest(".play")) isOn() ? stop() : start();
    else return;
    event.preventDefault();
  });
  // Some browsers press a button when the space bar is let go, whatever became of the key before.
  article.addEventListener("keyup", event => { if (event.key === " " && event.target.closest(".card")) event.preventDefault(); });
  const tick = () => {
    if (playing && playing.clip === clip && playing.stopped === stopped) {
      cards[current].querySelector(".head").style.left = `${100 * place() / playing.duration}%`;
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
