// A run's page: draws its figures, and keeps them up to date while it goes on.

import { Board } from "./board.js";
import { Live, follow } from "./live.js";
import { bytes, clock, count, make, micros, number, span } from "./text.js";
import { Workers } from "./workers.js";

const page = document.getElementById("run");
const { run } = page.dataset;
const isLive = "live" in page.dataset;
let startMs = Number(page.dataset.startMs);
let endsMs = Number(page.dataset.endsMs);
// The fleet's clock against this machine's.
let aheadMs = Number(page.dataset.nowMs) - Date.now();

/** More points than these are fetched again, joined. */
const MAX_POINTS = 720;
/** Steps that are drawn: those that ran most. */
const MAX_LINES = 12;
/** The places of a step's figures. */
const PLACES = { p50: 2, p95: 3, p99: 4, p999: 5, s50: 6, s99: 7 };

let points = [];
let totals = new Map();
let kinds = new Map();
let toS = 0;
let isFetching = false;
// What is said of the time in which this page did not keep up.
let missed = "";

const at = (id) => document.getElementById(id);
const board = new Board();
board.add("players", count);
board.add("rate", number);
board.add("arrivals", number);
board.add("times", micros);
board.add("failures", number);
board.add("lag", micros);
board.add("cpu", number);
board.add("memory", bytes);
board.add("drops", number);
const workers = new Workers(at("workers"));

function names() {
  const ran = [...totals].sort((a, b) => b[1].done - a[1].done || (a[0] < b[0] ? -1 : 1));
  return ran.slice(0, MAX_LINES).map(([name]) => name).sort();
}

function draw() {
  const times = points.map((point) => point.to);
  const wide = (point) => Math.max(point.to - point.from, 1e-3);
  const line = (name, of, more) => ({ name, values: points.map(of), ...more });
  const steps = names();
  const player = (place) => (point) => point.players[place];
  board.lines("players", [
    line("planned", player(0), { colour: "faint", dash: [6, 4] }),
    line("at work", player(1), { colour: "c1" }),
    line("connected", player(2), { colour: "c2" }),
  ]);
  const flow = (place) => (point) => (point.players[place] == null ? null : point.players[place] / wide(point));
  board.lines("arrivals", [
    line("arrived", flow(3), { colour: "c1" }), line("finished", flow(4), { colour: "c3" }), line("failed", flow(5), { colour: "c2" }),
  ]);
  board.lines("rate", steps.map((step) => line(step, (point) => (point.steps[step]?.[0] ?? 0) / wide(point))));
  const place = PLACES[at("figure").value];
  board.lines("times", steps.map((step) => line(step, (point) => point.steps[step]?.[place])));
  board.lines("failures", steps.map((step) => line(step, (point) => (point.steps[step]?.[1] ?? 0) / wide(point))));
  const kit = (name) => (point) => point.kit[name];
  board.lines("lag", ["tick_lag", "wake_lag", "start_lag", "send_lag"].map((name) => line(name.replace("_", " "), kit(name))));
  board.lines("cpu", [line("in use", kit("cpu")), line("by others", kit("cpu_others")), line("kept by the host", kit("cpu_stolen"))]);
  board.lines("memory", [line("memory", kit("memory"))]);
  const counted = (name) => points.some((point) => point.kit[name] != null);
  const often = (name) => (counted(name) ? (point) => (point.kit[name] ?? 0) / wide(point) : () => null);
  board.lines("drops", [
    line("thrown away by kernels", often("kernel_drops")), line("refused by kernels", often("sends_refused")),
    line("ticks begun late", often("ticks_behind")),
  ]);
  const first = times.length ? points[0].from : 0;
  const last = times.length ? times[times.length - 1] : 1;
  if (isLive && board.range && at("follow").checked) {
    const wideNow = board.range[1] - board.range[0];
    board.range = [Math.max(first, last - wideNow), last];
  }
  board.draw(times, [Math.min(first, 0), last]);
  const [from, to] = board.range ?? board.whole;
  at("no-figures").hidden = times.some((time) => time >= from && time <= to);
}

let isDue = false;
/** Draws soon, once, and not while nobody sees it. */
function drawSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function add(point) {
  if (point.to <= toS) return;
  toS = point.to;
  points.push(point);
  for (const [name, step] of Object.entries(point.steps)) {
    const total = totals.get(name) ?? { done: 0, failed: 0 };
    total.done += step[0];
    total.failed += step[1];
    totals.set(name, total);
  }
  for (const [step, kind, times] of point.failures) {
    const key = JSON.stringify([step, kind]);
    kinds.set(key, (kinds.get(key) ?? 0) + times);
  }
}

async function fetchAll() {
  if (isFetching) return;
  isFetching = true;
  try {
    const answer = await fetch(`/data/runs/${run}/series`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`the service answers ${answer.status}`);
    const series = await answer.json();
    const before = points;
    [points, totals, kinds, toS] = [[], new Map(), new Map(), 0];
    series.points.forEach(add);
    // Seconds that came meanwhile, and those that the series does not have yet.
    before.filter((point) => point.from >= toS).forEach(add);
    offer(points);
    const wide = series.width_s > 1 ? `Each point covers ${span(series.width_s)}: the run is too long for single seconds.` : "";
    at("coarse").textContent = [wide, missed].filter((text) => text).join(" ");
    draw();
    if (isLive) tables();
  } finally {
    isFetching = false;
  }
}

/** Of the figures of steps those that are there can be chosen: a report's series has no service times. */
function offer(all) {
  const has = (place) => all.some((point) => Object.values(point.steps).some((step) => step[place] != null));
  for (const option of at("figure").options) option.disabled = option.hidden = all.length > 0 && !has(PLACES[option.value]);
}

/** The tables of a run that goes on. */
function tables() {
  const last = points[points.length - 1];
  const wide = last ? Math.max(last.to - last.from, 1e-3) : 1;
  const rows = [...totals.keys()].sort().map((name) => {
    const step = last?.steps[name] ?? [];
    const total = totals.get(name);
    const cells = [count(total.done), count(total.failed), number((step[0] ?? 0) / wide)];
    cells.push(...[2, 3, 4, 5, 6, 7].map((place) => micros(step[place])));
    return make("tr", "", make("td", "name", name), ...cells.map((text) => make("td", "n", text)));
  });
  document.querySelector("#steps tbody").replaceChildren(...rows);
  const inSteps = new Map();
  for (const [key, times] of kinds) {
    const [step, kind] = JSON.parse(key);
    if (step) inSteps.set(kind, (inSteps.get(kind) ?? 0) + times);
  }
  const failed = [...kinds].map(([key, times]) => {
    const [step, kind] = JSON.parse(key);
    return [step, kind, step ? times : times - (inSteps.get(kind) ?? 0)];
  });
  const shown = failed.filter(([, , times]) => times > 0).sort((a, b) => b[2] - a[2]).slice(0, 100);
  const failures = shown.map(([step, kind, times]) =>
    make("tr", "", make("td", "name", step || "outside of steps"), make("td", "", kind), make("td", "n", count(times))));
  document.querySelector("#kinds tbody").replaceChildren(...failures);
  at("kinds").hidden = failures.length === 0;
  at("no-failures").hidden = failures.length > 0;
}

let failures = { samples: [], flights: [] };
/** The first messages; those whose player was recorded open to what it did last. */
function samples(data) {
  const { changed } = data;
  failures = changed
    ? { samples: follow(failures.samples, changed.samples), flights: follow(failures.flights, changed.flights) }
    : data;
  const { samples, flights } = failures;
  const items = samples.map((sample) => {
    const head = [
      make("span", "at", clock(sample.at_us / 1e6)), " ", make("b", "", sample.step || "outside of steps"),
      ` ${sample.kind}: ${sample.message} `, make("span", "note", `(seat ${sample.seat})`),
    ];
    const lives = flights.filter((one) => one.seat === sample.seat && one.ended_us >= sample.at_us && one.lines.length);
    const flown = lives.sort((a, b) => a.ended_us - b.ended_us)[0];
    if (!flown) return make("li", "", ...head);
    const pre = make("pre", "", flown.lines.join("\n"));
    pre.tabIndex = 0;
    return make("li", "", make("details", "", make("summary", "", ...head), pre));
  });
  const list = at("samples");
  at("samples-note").hidden = items.length === 0;
  // Whoever reads one is not disturbed.
  if (!list.querySelector("details[open]")) list.replaceChildren(...items);
}

function event(atMs, kind, text, by) {
  const list = at("events");
  const known = [...list.children].some((item) => Number(item.dataset.atMs) === atMs && item.querySelector(".what").textContent === text);
  if (known) return;
  const item = make("li", "", make("span", "at", clock((atMs - startMs) / 1_000)), " ", make("span", "what", text));
  if (by) item.append(" ", make("span", "note", `(${by})`));
  Object.assign(item.dataset, { atMs, kind });
  const later = [...list.children].find((other) => Number(other.dataset.atMs) > atMs);
  list.insertBefore(item, later ?? null);
}

/** Events stand in the charts by their numbers in the list. */
function marks() {
  board.marks = [...at("events").children].slice(0, 100).map((item, i) => ({
    at: (Number(item.dataset.atMs) - startMs) / 1_000,
    sign: String(i + 1),
    tone: item.dataset.kind === "marker" ? "link" : "faint",
  }));
}

function told(name, data) {
  if (name === "run") {
    [startMs, endsMs] = [data.start_at_ms, data.ends_at_ms];
    if (data.state !== "ended") at("state").replaceChildren(make("span", "mark going", data.state));
    if (data.state === "draining") at("stop")?.removeAttribute("open");
  } else if (name === "figures") {
    add(data);
    if (points.length > MAX_POINTS) fetchAll().catch(() => {});
    if (!document.hidden) {
      drawSoon();
      tables();
    }
  } else if (name === "workers") workers.show(data);
  else if (name === "failures") samples(data);
  else if (name === "notes") data.forEach(([, note]) => event(note.at_ms, "note", note.text));
  else if (name === "markers") {
    const marks = data.changed ? data.changed.more.map(([, mark]) => mark) : data;
    marks.forEach((mark) => event(mark.at_ms, "marker", mark.text, mark.by));
  }
  else if (name === "behind") {
    missed = `This page fell behind: from ${clock(data.from_s)} to ${clock(data.to_s)} it has the figures as they are kept, which may be coarser.`;
    at("coarse").textContent = missed;
    fetchAll().catch((error) => (at("coarse").textContent = `${missed} They could not be read: ${error.message}.`));
  } else if (name === "time") {
    aheadMs = data.now_ms - Date.now();
    trouble(data.fault ? `The fleet has trouble: ${data.fault}` : "");
  } else if (name === "fault") trouble(data.text);
  else if (name === "over") {
    live.close();
    location.reload();
  }
  if (["run", "notes", "markers"].includes(name)) {
    marks();
    drawSoon();
  }
}

function trouble(text) {
  const line = at("trouble");
  if (line.textContent !== text) line.textContent = text;
  line.hidden = text === "";
}

/** How old what is shown is. */
function age() {
  const nowMs = Date.now() + aheadMs;
  const old = (nowMs - startMs) / 1_000 - toS;
  let text;
  const isLost = !live.isThere && (live.wasOpen || live.silence() > 5);
  if (!live.isThere && !isLost) text = "Connecting…";
  else if (isLost) text = `Not connected for ${span(live.silence())}: trying again. What is shown is up to ${clock(toS)} of the run.`;
  else if (nowMs < startMs) text = `Starts in ${span((startMs - nowMs) / 1_000)}.`;
  else if (toS === 0) text = `Running for ${span((nowMs - startMs) / 1_000)}; no figures yet.`;
  else text = `Live. Figures up to ${clock(toS)} of ${clock((endsMs - startMs) / 1_000)}, ${span(old)} old.`;
  if (at("age").textContent !== text) at("age").textContent = text;
  at("age").classList.toggle("stale", isLost || (live.isThere && toS > 0 && old > 15));
  const cost = at("cost");
  if (cost) {
    const share = Math.min(1, Math.max(0, (nowMs - startMs) / Math.max(1, endsMs - startMs)));
    const [low, high] = [Number(cost.dataset.low), Number(cost.dataset.high)];
    const dollars = (value) => `$${value.toFixed(2)}`;
    cost.textContent = `${dollars(low * share)} to ${dollars(high * share)} of ${dollars(low)} to ${dollars(high)}`;
  }
}

at("figure").addEventListener("change", draw);
at("logarithmic").addEventListener("change", (event) => {
  board.scale("times", event.target.checked);
  draw();
});
at("zoom-in").addEventListener("click", () => board.turn(0.5, 0));
at("zoom-out").addEventListener("click", () => board.turn(2, 0));
at("earlier").addEventListener("click", () => board.turn(1, -0.5));
at("later").addEventListener("click", () => board.turn(1, 0.5));
at("whole").addEventListener("click", () => board.zoom(null));
board.onzoom = () => {
  const [from, to] = board.range ?? board.whole;
  at("no-figures").hidden = board.times.some((time) => time >= from && time <= to);
};
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && isLive) {
    draw();
    tables();
  }
});

let live;
marks();
await fetchAll().catch((error) => {
  if (isLive) trouble(`The figures so far could not be read: ${error.message}.`);
  else at("no-figures").hidden = false;
});
if (isLive) {
  const names = ["run", "figures", "workers", "failures", "notes", "markers", "behind", "time", "fault", "over"];
  live = new Live(`/data/runs/${run}/live`, `${Math.floor(toS)}-0`, names, told);
  setInterval(age, 1_000);
  age();
}
page.dataset.ready = "yes";
