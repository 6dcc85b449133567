// The last hour of sessions: a picture, and the same as a table.

import { $, clock, el, minutes, plural, sum, svg, whole } from "./parts.js";

const HOUR_S = 3600;

function together(history, now) {
  const byTime = new Map();
  for (const { points } of history) {
    for (const point of points) {
      const at = byTime.get(point.at_s) ?? { at_s: point.at_s, live: 0, moved: 0, lost: 0 };
      for (const of of ["live", "moved", "lost"]) at[of] += point[of];
      byTime.set(point.at_s, at);
    }
  }
  if (byTime.size > 0 && now && now.at_s > Math.max(...byTime.keys())) byTime.set(now.at_s, { at_s: now.at_s, live: now.live, moved: 0, lost: 0 });
  return [...byTime.values()].sort((a, b) => a.at_s - b.at_s);
}

// `now`: the moment and the sessions that live, which the last point is up to fifteen seconds behind.
export function drawChart(history, now) {
  const points = together(history, now);
  const [width, height, floor] = [1000, 150, 34];
  const end = points.at(-1)?.at_s ?? Math.floor(Date.now() / 1000);
  const begin = end - HOUR_S;
  const most = Math.max(10, ...points.map((point) => point.live)) * 1.1;
  const mostBars = Math.max(10, ...points.map((point) => point.moved + point.lost));
  const x = (at_s) => ((at_s - begin) / HOUR_S) * width;
  const y = (live) => (height - floor) * (1 - live / most) + 2;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(points) });
  for (const part of [0, 0.25, 0.5, 0.75, 1]) picture.append(svg("line", { class: "grid", x1: part * width, x2: part * width, y1: 0, y2: height }));
  picture.append(svg("line", { class: "grid", x1: 0, x2: width, y1: height - floor + 4, y2: height - floor + 4 }));
  if (points.length > 1) {
    const path = points.map((point) => `${x(point.at_s).toFixed(1)},${y(point.live).toFixed(1)}`).join(" L");
    picture.append(svg("path", { class: "area", d: `M${x(points[0].at_s).toFixed(1)},${height - floor + 4} L${path} L${x(end).toFixed(1)},${height - floor + 4} Z` }));
    picture.append(svg("path", { class: "line", d: `M${path}` }));
  }
  for (const point of points) {
    let bottom = height;
    for (const of of ["lost", "moved"]) {
      if (point[of] === 0) continue;
      const tall = Math.max(3, (point[of] / mostBars) * (floor - 8));
      bottom -= tall;
      picture.append(svg("rect", { class: of, x: (x(point.at_s) - 3.4).toFixed(1), width: 3.4, y: bottom.toFixed(1), height: tall.toFixed(1) }));
    }
  }
  const axis = el("div", { className: "axis", "aria-hidden": "true" },
    ...[0, 0.25, 0.5, 0.75, 1].map((part) => el("span", {}, minutes(begin + part * HOUR_S))));
  $("chart").replaceChildren(picture, axis);
  drawTable(points);
}

function spoken(points) {
  if (points.length === 0) return "No numbers yet";
  const most = Math.max(...points.map((point) => point.live));
  return `Sessions of the last hour: ${plural(points.at(-1).live, "session")} now, at most ${whole.format(most)}, `
    + `${whole.format(sum(points, (point) => point.moved))} moved, ${whole.format(sum(points, (point) => point.lost))} lost`;
}

function drawTable(points) {
  const head = el("tr", {}, ...["Until", "Live", "Moved", "Lost"].map((words) => el("th", { scope: "col" }, words)));
  const rows = points.toReversed().map((point) => el("tr", {}, el("th", { scope: "row" }, clock(point.at_s)),
    ...[point.live, point.moved, point.lost].map((value) => el("td", {}, whole.format(value)))));
  $("chart-table").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
}
