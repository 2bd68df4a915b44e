// A sign for each worker, so that among hundreds the odd one is seen.

import { make } from "./text.js";

const SIGNS = { "-": ["·", "none"], w: ["w", "waiting"], p: ["▪", "playing"], d: ["▾", "draining"], e: ["✓", "over"], l: ["✗", "lost"], a: ["✗", "lost"] };

export class Workers {
  constructor(section) {
    this.section = section;
    this.cells = [];
    this.known = JSON.parse(section.dataset.grid);
    this.grid(this.known);
  }

  /** All of it, or what has changed. */
  show({ crew, grid, changed }) {
    for (const [name, value] of Object.entries(crew)) {
      const place = document.getElementById(`crew-${name}`);
      if (place) place.textContent = value;
    }
    if (changed) {
      const cells = [...this.known.cells];
      for (const [from, signs] of changed.cells) cells.splice(from, signs.length, ...signs);
      const players = [...this.known.players];
      for (const [from, counts] of changed.players) players.splice(from, counts.length, ...counts);
      const odd = new Map(this.known.odd);
      for (const [worker, why] of changed.odd) why === null ? odd.delete(worker) : odd.set(worker, why);
      this.known = { cells: cells.join(""), players, odd: [...odd].sort((a, b) => a[0] - b[0]) };
    } else this.known = grid;
    this.grid(this.known);
  }

  grid({ cells, players, odd, again }) {
    const place = this.section.querySelector("#grid");
    while (this.cells.length < cells.length) {
      const cell = make("span", "cell");
      this.cells.push(cell);
      place.append(cell);
    }
    const oddOnes = new Map(odd);
    [...cells].forEach((sign, worker) => {
      const cell = this.cells[worker];
      const [text, name] = SIGNS[sign] ?? SIGNS["-"];
      const why = oddOnes.get(worker);
      const className = `cell ${name}${why ? " odd" : ""}`;
      if (cell.className !== className) cell.className = className;
      if (cell.textContent !== text) cell.textContent = text;
      const many = worker in players ? `: ${players[worker]} players` : "";
      cell.title = `worker ${worker}${many}${why ? `; ${why}` : ""}`;
    });
    document.getElementById("crew-again").textContent = again;
    const items = odd.map(([worker, why]) => make("li", "", make("b", "", `worker ${worker}`), `: ${why}`));
    const list = this.section.querySelector("#odd");
    if (items.length) list.replaceChildren(make("ul", "odd", ...items));
    else list.replaceChildren();
  }
}
