// What all of the dashboard is made with: elements, texts and numbers. All text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(element.dataset, value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Changes a text only where it is another one: screen readers and selections stay undisturbed.
export function text(element, value) {
  const words = String(value);
  if (element.textContent !== words) element.textContent = words;
}

export const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
export const number = (value) => (value !== 0 && Math.abs(value) < 10 ? one.format(value) : whole.format(value));
export const plural = (count, word) => `${whole.format(count)} ${word}${count === 1 ? "" : "s"}`;
export const clock = (at_s) => new Date(at_s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const minutes = (at_s) => new Date(at_s * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${one.format(seconds / 3600)} h`;
}

export function took(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${number(ms)} ms` : `${one.format(ms / 1000)} s`;
}

export const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);
export const lostOf = (sessions) => sessions.lost_after_move + sessions.lost_no_proof + sessions.lost_at_home;
