// Distributions of the chosen step of several runs, one over the other.

import { colour, fitType } from "./board.js";
import { make, micros } from "./text.js";

const section = document.getElementById("distributions");
const at = (id) => document.getElementById(id);
const larger = fitType();
let chart;
let runs = [];

/** A percentile is as far to the right as it has nines. */
const nines = (quantile) => -Math.log10(1 - quantile);
const percentile = (value) => (value === 0 ? "0 %" : `${Number((100 * (1 - 10 ** -value)).toPrecision(6))} %`);

function draw() {
  const step = at("step").value;
  const [grid, ink] = [colour("line"), colour("faint")];
  const datasets = runs.map((run, i) => ({
    label: run.name, borderColor: colour(`c${(i % 8) + 1}`), backgroundColor: colour(`c${(i % 8) + 1}`), borderWidth: 2 * larger,
    pointRadius: 0, borderDash: i % 2 ? [6, 3] : [], data: (run.steps[step] ?? []).map(([q, us]) => ({ x: nines(q), y: us })),
  }));
  const options = {
    animation: false, parsing: false, responsive: true, maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false, axis: "x" },
    scales: {
      x: { type: "linear", min: 0, ticks: { color: ink, stepSize: 1, callback: percentile }, grid: { color: grid } },
      y: { type: "logarithmic", ticks: { color: ink, callback: micros, maxTicksLimit: 8 }, grid: { color: grid } },
    },
    plugins: {
      legend: { display: false },
      tooltip: { callbacks: { title: (items) => percentile(items[0].parsed.x), label: (item) => `${item.dataset.label}: ${micros(item.parsed.y)}` } },
    },
  };
  chart?.destroy();
  chart = new Chart(at("chart-distribution"), { type: "line", data: { datasets }, options });
  at("legend-distribution").replaceChildren(...datasets.map((line) => {
    const swatch = make("span", "swatch");
    swatch.style.backgroundColor = line.borderColor;
    return make("span", "line", swatch, line.label);
  }));
}

if (section) {
  const answer = await fetch(`/data/compare${location.search}`, { credentials: "same-origin" });
  if (answer.ok) {
    runs = (await answer.json()).runs;
    const steps = [...new Set(runs.flatMap((run) => Object.keys(run.steps)))].sort();
    // The slowest step first is looked at.
    const slowest = (name) => Math.max(0, ...runs.map((run) => run.steps[name]?.at(-1)?.[1] ?? 0));
    const first = steps.toSorted((a, b) => slowest(b) - slowest(a))[0];
    at("step").replaceChildren(...steps.map((name) => new Option(name, name, name === first, name === first)));
    at("step").addEventListener("change", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
    section.dataset.ready = "yes";
  }
}
