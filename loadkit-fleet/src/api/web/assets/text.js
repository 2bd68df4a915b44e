// Figures as people read them, and elements made of text. Nothing here ever becomes markup.

/** An element with a class and children, which are elements or texts. */
export function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** `1,234`. */
export function count(value) {
  return value == null ? "–" : Math.round(value).toLocaleString("en-US");
}

/** A plain number, to three digits. */
export function number(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 999.5) return count(value);
  return String(Number(value.toPrecision(3)));
}

/** Microseconds: `850 µs`, `12.3 ms`, `1.23 s`. */
export function micros(us) {
  if (us == null) return "–";
  if (us < 999.5) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${number(us / 1e3)} ms`;
  return `${number(us / 1e6)} s`;
}

/** A size: `850 B`, `12.3 MiB`. */
export function bytes(size) {
  if (size == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  for (; size >= 1023.5 && at < units.length - 1; at += 1) size /= 1024;
  return `${number(size)} ${units[at]}`;
}

/** A time of the run, s: `1:05`, `1:02:03`. */
export function clock(seconds) {
  const sign = seconds < 0 ? "-" : "";
  const whole = Math.floor(Math.abs(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return sign + (h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`);
}

/** How long, s: `12 s`, `3 min 20 s`. */
export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  return s < 120 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}
