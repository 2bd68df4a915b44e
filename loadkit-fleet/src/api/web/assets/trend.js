// A figure of the latest runs, from build to build.

import { colour, fitType } from "./board.js";
import { make, micros, number } from "./text.js";

const section = document.getElementById("trend");
const at = (id) => document.getElementById(id);
const SIGNS = { PASS: "circle", FAIL: "triangle", INVALID: "crossRot" };
const TONES = { PASS: "pass-edge", FAIL: "fail-edge", INVALID: "invalid-edge" };
const larger = fitType();
let chart;
let runs = [];
let figure = "";

function write(value) {
  if (value == null) return "–";
  if (/^p[\d.]+ of /.test(figure)) return micros(value);
  return figure.startsWith("failures of ") ? `${number(value * 100)} %` : `${number(value)}/s`;
}

function draw() {
  const tones = runs.map((run) => colour(TONES[run.verdict] ?? "faint"));
  const [grid, ink] = [colour("line"), colour("faint")];
  const options = {
    animation: false, responsive: true, maintainAspectRatio: false,
    onClick: (_, active) => active.length && (location.href = `/runs/${runs[active[0].index].id}`),
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: { ticks: { color: ink, maxRotation: 60, autoSkipPadding: 12 }, grid: { color: grid } },
      y: { beginAtZero: true, ticks: { color: ink, callback: write }, grid: { color: grid } },
    },
    plugins: {
      legend: { display: false },
      tooltip: { callbacks: { label: (item) => `${runs[item.dataIndex].verdict ?? "–"}: ${write(item.parsed.y)}` } },
    },
  };
  const data = {
    labels: runs.map((run) => run.build || new Date(run.at_ms).toISOString().slice(0, 10)),
    datasets: [{
      data: runs.map((run) => run.value), borderColor: ink, borderWidth: 1, spanGaps: true,
      pointStyle: runs.map((run) => SIGNS[run.verdict] ?? "rect"), pointRadius: 6 * larger, pointBorderWidth: 2,
      pointBorderColor: tones, pointBackgroundColor: tones,
    }],
  };
  chart?.destroy();
  chart = new Chart(at("trend-chart"), { type: "line", data, options });
  const rows = runs.map((run) => {
    const link = make("a", "", new Date(run.at_ms).toISOString().slice(0, 16).replace("T", " "));
    link.href = `/runs/${run.id}`;
    return make("tr", "", make("td", "", link), make("td", "", run.build || "–"), make("td", "", run.verdict ?? "–"), make("td", "n", write(run.value)));
  });
  at("trend-table").tBodies[0].replaceChildren(...rows);
}

async function load() {
  const { scenario, build } = section.dataset;
  const asked = new URLSearchParams({ scenario, build, figure, runs: at("trend-runs").value });
  const answer = await fetch(`/data/trend?${asked}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const trend = await answer.json();
  [runs, figure] = [trend.runs, trend.figure ?? ""];
  const options = trend.figures.map((name) => new Option(name, name, name === figure, name === figure));
  at("trend-figure").replaceChildren(...options);
  const isEmpty = trend.figures.length === 0;
  at("trend-none").hidden = !isEmpty;
  at("trend-chart").parentElement.hidden = isEmpty;
  if (!isEmpty) draw();
  section.dataset.ready = "yes";
}

at("trend-figure").addEventListener("change", (event) => {
  figure = event.target.value;
  load();
});
at("trend-runs").addEventListener("change", load);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => runs.length && draw());
load().catch(() => (at("trend-none").hidden = false));
