// A stream of events that comes back by itself, keeps its place, and knows how long it has been silent.

/** A list after a change of it: what is gone is taken out, what is new comes to its place. */
export function follow(list, { gone, more }) {
  const out = new Set(gone);
  const next = list.filter((_, place) => !out.has(place));
  for (const [place, item] of more) next.splice(place, 0, item);
  return next;
}

const SILENT_MS = 20_000;
const AGAIN_MS = 2_000;

export class Live {
  /** Listens at `address` from the place `after` on; `hear(name, data)` gets the events. */
  constructor(address, after, names, hear) {
    Object.assign(this, { address, after, names, hear, heardAt: Date.now(), isOpen: false, wasOpen: false, over: false });
    // A service whose answers go out whole says how often it wants to be asked.
    Object.assign(this, { paceMs: 0, answeredAt: 0 });
    this.open();
    this.watch = setInterval(() => this.check(), 1_000);
    document.addEventListener("visibilitychange", () => this.see());
  }

  /** Whether the service is there: it is listened to, or it has answered and is asked again soon. */
  get isThere() {
    return this.isOpen || (this.paceMs > 0 && Date.now() - this.answeredAt < 3 * this.paceMs + 5_000);
  }

  /** Asking again and again costs something: nothing is asked for a page that nobody sees. */
  see() {
    if (this.over || !this.paceMs) return;
    if (document.hidden) this.source.close();
    else this.open();
  }

  open() {
    this.source?.close();
    this.heardAt = Date.now();
    const source = new EventSource(`${this.address}?after=${encodeURIComponent(this.after)}`);
    source.onopen = () => {
      this.isOpen = this.wasOpen = true;
      this.heardAt = this.answeredAt = Date.now();
    };
    source.onerror = () => {
      this.isOpen = false;
      // The browser tries again by itself, unless the answer was an error.
      if (source.readyState === EventSource.CLOSED && !this.over) {
        clearTimeout(this.again);
        this.again = setTimeout(() => this.open(), AGAIN_MS);
      }
    };
    source.addEventListener("pace", (event) => (this.paceMs = JSON.parse(event.data).every_ms));
    for (const name of this.names) {
      source.addEventListener(name, (event) => {
        this.isOpen = true;
        this.heardAt = this.answeredAt = Date.now();
        if (event.lastEventId) this.after = event.lastEventId;
        this.hear(name, JSON.parse(event.data));
      });
    }
    this.source = source;
  }

  /** A connection that is dead but does not say so is opened anew. */
  check() {
    const isAsleep = this.paceMs > 0 && document.hidden;
    if (!this.over && !isAsleep && Date.now() - this.heardAt > SILENT_MS) {
      this.isOpen = false;
      this.open();
    }
  }

  /** How long nothing has been heard, s. */
  silence() {
    return (Date.now() - this.heardAt) / 1_000;
  }

  close() {
    this.over = true;
    clearInterval(this.watch);
    clearTimeout(this.again);
    this.source?.close();
  }
}
