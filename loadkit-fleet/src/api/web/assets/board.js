// Charts over one time axis: they zoom together, and show the values of one moment together.

import { clock, make } from "./text.js";

const COLOURS = 8;

/** A colour of the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Charts' texts are as large as those of the page: on a wall they are read from afar. */
export function fitType() {
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize);
  Chart.defaults.font.size = Math.round(size * 0.75);
  return size / 16;
}

/** A point without neighbours is no line: it is shown as a point. */
function alone({ dataset, dataIndex }) {
  const at = (i) => dataset.data[i]?.y ?? null;
  return at(dataIndex) != null && at(dataIndex - 1) == null && at(dataIndex + 1) == null ? 2 : 0;
}

export class Board {
  constructor() {
    this.larger = fitType();
    this.charts = [];
    this.times = [];
    this.range = null;
    this.whole = [0, 1];
    this.marks = [];
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  /** Adds a chart on the canvas `chart-ID`; `format` writes its values. */
  add(id, format) {
    const canvas = document.getElementById(`chart-${id}`);
    const one = { id, format, lines: [], hidden: new Set(), legend: document.getElementById(`legend-${id}`) };
    one.chart = new Chart(canvas, {
      type: "line",
      data: { datasets: [] },
      options: {
        animation: false,
        parsing: false,
        normalized: true,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false, axis: "x" },
        events: ["mousemove", "mouseout", "touchstart", "touchmove"],
        onHover: (_, active) => this.show(one, active),
        elements: { point: { radius: alone, hitRadius: 6 }, line: { borderWidth: 1.5 * this.larger, spanGaps: false } },
        scales: {
          x: { type: "linear", ticks: { callback: clock, maxRotation: 0, autoSkipPadding: 24 } },
          y: { beginAtZero: true, ticks: { callback: (value) => format(value), maxTicksLimit: 6 } },
        },
        plugins: {
          legend: { display: false },
          decimation: { enabled: false },
          tooltip: {
            callbacks: {
              title: (items) => (items.length ? clock(items[0].parsed.x) : ""),
              label: (item) => `${item.dataset.label}: ${format(item.parsed.y)}`,
            },
          },
        },
      },
      plugins: [{ id: "marks", afterDatasetsDraw: (chart) => this.drawMarks(chart, one) }],
    });
    this.drag(canvas, one);
    this.charts.push(one);
  }

  /** Shows these lines in a chart: `[{ name, values }]`, a value for each of the times. */
  lines(id, lines) {
    const one = this.charts.find((chart) => chart.id === id);
    if (one) one.lines = lines;
  }

  /** Shows the values of a chart by their logarithms, or as they are. */
  scale(id, isLogarithmic) {
    const one = this.charts.find((chart) => chart.id === id);
    if (one) one.chart.options.scales.y.type = isLogarithmic ? "logarithmic" : "linear";
  }

  /** Draws everything anew. `times` are the ends of the points, s of the run. */
  draw(times, whole) {
    this.times = times;
    this.whole = whole;
    this.paint();
  }

  paint() {
    const [from, to] = this.range ?? this.whole;
    const [grid, ink] = [colour("line"), colour("faint")];
    for (const one of this.charts) {
      const { options, data } = one.chart;
      Object.assign(options.scales.x, { min: from, max: Math.max(to, from + 1) });
      for (const scale of Object.values(options.scales)) {
        scale.grid = { color: grid };
        scale.ticks.color = ink;
      }
      one.lines.forEach((line, i) => {
        const tone = line.colour ? colour(line.colour) : colour(`c${(i % COLOURS) + 1}`);
        const points = this.times.map((x, at) => ({ x, y: line.values[at] ?? null }));
        const known = data.datasets[i] ?? {};
        Object.assign(known, {
          label: line.name, data: points, borderColor: tone, backgroundColor: tone,
          borderDash: line.dash ?? (i >= COLOURS ? [4, 3] : []), hidden: one.hidden.has(line.name),
        });
        data.datasets[i] = known;
      });
      data.datasets.length = one.lines.length;
      const isEmpty = this.times.length > 0 && one.lines.every((line) => line.values.every((value) => value == null));
      one.chart.canvas.closest(".chart").classList.toggle("without", isEmpty);
      this.legend(one);
      one.chart.update("none");
    }
  }

  /** The legend is made of buttons, so that a keyboard can switch lines off. */
  legend(one) {
    const names = one.lines.map((line) => line.name).join("\n");
    if (one.named === names && one.toned === colour("c1")) return;
    [one.named, one.toned] = [names, colour("c1")];
    const buttons = one.chart.data.datasets.map((line) => {
      const swatch = make("span", "swatch");
      swatch.style.backgroundColor = line.borderColor;
      const button = make("button", "line", swatch, line.label);
      button.type = "button";
      button.setAttribute("aria-pressed", String(!one.hidden.has(line.label)));
      button.addEventListener("click", () => {
        if (!one.hidden.delete(line.label)) one.hidden.add(line.label);
        button.setAttribute("aria-pressed", String(!one.hidden.has(line.label)));
        this.paint();
      });
      return button;
    });
    one.legend.replaceChildren(...buttons);
  }

  /** The same moment in all other charts. */
  show(from, active) {
    const index = active.length ? active[0].index : null;
    if (this.shown === index) return;
    this.shown = index;
    for (const one of this.charts) {
      if (one === from) continue;
      const visible = one.chart.data.datasets.map((_, i) => i).filter((i) => one.chart.isDatasetVisible(i));
      const elements = index == null ? [] : visible.map((datasetIndex) => ({ datasetIndex, index }));
      one.chart.setActiveElements(elements);
      one.chart.tooltip.setActiveElements(elements, { x: 0, y: 0 });
      one.chart.draw();
    }
  }

  /** Dragging over a chart zooms all. */
  drag(canvas, one) {
    const at = (event) => {
      const { left, right } = one.chart.chartArea;
      const x = Math.min(right, Math.max(left, event.clientX - canvas.getBoundingClientRect().left));
      return { x, time: one.chart.scales.x.getValueForPixel(x) };
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) one.from = at(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!one.from) return;
      one.to = at(event);
      one.chart.draw();
    });
    const end = (event) => {
      if (!one.from) return;
      const [a, b] = [one.from, at(event)];
      one.from = one.to = null;
      if (Math.abs(a.x - b.x) > 5) this.zoom([Math.min(a.time, b.time), Math.max(a.time, b.time)]);
      else one.chart.draw();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointerleave", end);
    canvas.addEventListener("dblclick", () => this.zoom(null));
  }

  /** Shows this time, s of the run, or all of it. */
  zoom(range) {
    this.range = range;
    this.onzoom?.(range);
    this.paint();
  }

  /** Shows `factor` as much time, moved by a part of it. */
  turn(factor, move) {
    const [from, to] = this.range ?? this.whole;
    const [first, last] = this.whole;
    const wide = Math.min(Math.max((to - from) * factor, 2), last - first);
    const middle = (from + to) / 2 + (to - from) * move;
    const start = Math.min(Math.max(middle - wide / 2, first), Math.max(first, last - wide));
    this.zoom(wide >= last - first ? null : [start, start + wide]);
  }

  drawMarks(chart, one) {
    const { ctx, chartArea, scales } = chart;
    ctx.save();
    ctx.font = `${Math.round(11 * this.larger)}px system-ui, sans-serif`;
    for (const { at, sign, tone } of this.marks) {
      const x = scales.x.getPixelForValue(at);
      if (x < chartArea.left || x > chartArea.right) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(tone);
      ctx.setLineDash([3, 3]);
      ctx.beginPath();
      ctx.moveTo(x, chartArea.top);
      ctx.lineTo(x, chartArea.bottom);
      ctx.stroke();
      ctx.fillText(sign, x + 2, chartArea.top + 9 * this.larger);
    }
    if (one.from && one.to) {
      ctx.globalAlpha = 0.15;
      ctx.fillStyle = colour("link");
      ctx.fillRect(one.from.x, chartArea.top, one.to.x - one.from.x, chartArea.bottom - chartArea.top);
    }
    ctx.restore();
  }
}
