// The two pictures of the triangle's figure, in SVG: the second part of its module.

const COLOUR = { lagrangian: "#0072B2", eulerian: "#D55E00", semigroup: "#009E73" }; // as in gestures.py
const STEP = 0.15; // arrows show a step so long, in time

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/** Axes in a picture of width x 340 units: `at(a, b)` is where the point (a, b) lies, `back` undoes it. */
function axes(width, [left, right], [low, high]) {
  const box = { left: 48, right: width - 44, top: 14, bottom: 300 };
  const across = (box.right - box.left) / (right - left), up = (box.bottom - box.top) / (high - low);
  return {
    at: ([a, b]) => [box.left + (a - left) * across, box.bottom - (b - low) * up],
    back: ([p, q]) => [left + (p - box.left) / across, low + (box.bottom - q) / up],
  };
}

const points = (places, at) => places.map((place) => at(place).map((v) => v.toFixed(2)).join()).join(" ");

const line = (at, places, colour, width = 1.5, more = {}) =>
  svg("polyline", { points: points(places, at), fill: "none", stroke: colour, "stroke-width": width, ...more });

const words = (at, place, text, dx = 0, dy = 4, more = {}) => {
  const [x, y] = at(place);
  return svg("text", { x: x + dx, y: y + dy, "font-size": 12, fill: "#222", ...more }, text);
};

const dot = (at, place, colour, full = true) => {
  const [cx, cy] = at(place);
  return svg("circle", { cx, cy, r: 4.5, fill: full ? colour : "#fff", stroke: colour, "stroke-width": 1.8 });
};

/** An arrow between two places; `gap` leaves room for the dots at its ends. */
function arrow(at, from, to, colour, { dashed = false, gap = 0 } = {}) {
  let [[a, b], [c, d]] = [at(from), at(to)];
  const length = Math.hypot(c - a, d - b);
  if (length < 2 * gap + 4) return svg("g");
  const [p, q] = [(c - a) / length, (d - b) / length];
  [a, b, c, d] = [a + gap * p, b + gap * q, c - gap * p, d - gap * q];
  const [e, f] = [c - 9 * p, d - 9 * q]; // where the head begins
  const head = [[c, d], [e - 4 * q, f + 4 * p], [e + 4 * q, f - 4 * p]].map((z) => z.map((v) => v.toFixed(2)).join()).join(" ");
  const dashes = dashed ? { "stroke-dasharray": "5 3" } : {};
  return svg("g", {}, svg("line", { x1: a, y1: b, x2: e, y2: f, stroke: colour, "stroke-width": 2.4, ...dashes }), svg("polygon", { points: head, fill: colour }));
}

/** The axes' lines, ticks and names, which never change. */
function frame(at, [left, right], [low, high], acrossTicks, upTicks, acrossName, upName) {
  const [x0, y0] = at([left, low]), [x1, y1] = at([right, high]);
  const centred = { "text-anchor": "middle" }, end = { "text-anchor": "end" };
  return svg("g", {},
    svg("path", { d: `M${x0},${y1}V${y0}H${x1}`, fill: "none", stroke: "#444" }),
    ...acrossTicks.map((t) => words(at, [t, low], String(t), 0, 17, centred)),
    ...upTicks.map((x) => words(at, [left, x], String(x), -7, 4, end)),
    svg("text", { x: (x0 + x1) / 2, y: y0 + 34, "font-size": 12, fill: "#222", ...centred }, acrossName),
    svg("text", { x: x0 - 36, y: (y0 + y1) / 2, "font-size": 12, fill: "#222", transform: `rotate(-90 ${x0 - 36} ${(y0 + y1) / 2})`, ...centred }, upName));
}

/** What the triangle shows: the pair (s, t), and arrows from where the condition reads. */
function trianglePicture(at, { s, u, t, condition }) {
  const colour = COLOUR[condition], pair = [t, s], out = [];
  const [along, other, name, second] = {
    lagrangian: [[Math.max(s, t - STEP), s], [t, t], "(t, t)", ""],
    eulerian: [[t, Math.min(t, s + STEP)], [s, s], "(s, s)", ""],
    semigroup: [[u, s], [t, u], "(u, t)", "(s, u)"],
  }[condition];
  for (const place of [along, other]) out.push(arrow(at, place, pair, colour, { gap: 6 }), dot(at, place, colour));
  const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) > 0.07;
  if (apart(other, pair) && second) out.push(words(at, other, name, 11));
  if (apart(other, pair) && !second && other[0] > 0.1) out.push(words(at, other, name, -9, -7, { "text-anchor": "end" }));
  if (second && apart(along, pair)) out.push(words(at, along, second, 0, -11, { "text-anchor": "middle" }));
  return [...out, dot(at, pair, "#000", false), words(at, pair, "(s, t)", 13)];
}

/** What the plane shows: the path, the jump, and the chosen condition's gesture with its gap. */
function planePicture(at, now) {
  const { s, u, t, x, start, landed, condition, problem, residual } = now, colour = COLOUR[condition];
  const path = (from, to, begun) => Array.from({ length: 41 }, (_, k) => from + ((to - from) * k) / 40).map((time) => [time, flow(problem, from, time, begun)]);
  const out = [line(at, path(0, s, start), "#56B4E9", 1.2), line(at, path(s, t, x), "#56B4E9", 2.5)];
  out.push(line(at, [[s, x], [t, landed]], "#000"));
  const bar = (from, to) => out.push(line(at, [from, to], colour, 6, { opacity: 0.55, class: "flow-gap" }));
  const end = [t, landed];
  let label = [13, 4];
  if (condition === "lagrangian") {
    const tip = [t + STEP, landed + STEP * now.rate], wanted = [t + STEP, landed + STEP * now.found];
    bar(tip, wanted);
    out.push(arrow(at, end, tip, colour), arrow(at, end, wanted, colour, { dashed: true }));
    label = now.rate + now.found > 0 ? [6, 20] : [6, -12];
  } else if (condition === "eulerian") {
    const moved = [s + STEP, x + STEP * now.slope], other = [t, landed + STEP * residual];
    out.push(line(at, [moved, other], colour), arrow(at, [s, x], moved, colour));
    bar(end, other);
  } else {
    out.push(line(at, [[s, x], [u, now.stop], [t, now.second]], colour, 1.8));
    bar(end, [t, now.second]);
    out.push(dot(at, [u, now.stop], colour), words(at, [u, now.stop], "u", 0, 22, { "text-anchor": "middle" }));
  }
  out.push(dot(at, [0, start], "#56B4E9", false), dot(at, [s, x], "#000", false), dot(at, end, "#000"));
  out.push(words(at, [s, x], "s", -10, 4, { "text-anchor": "end" }), words(at, end, "t", ...label));
  return out;
}

/** A picture with a still part, a part that is drawn anew, and handles that are dragged by mouse, pen or finger. */
function picture(width, title, scale, still, handles, dragged) {
  const moving = svg("g"), root = svg("svg", { viewBox: `0 0 ${width} 340`, role: "img", class: "flow-drawing", style: `flex: ${width} 1 ${0.7 * width}px` }, still, moving);
  const circles = Object.fromEntries(handles.map((name) => [name, svg("circle", { r: 13, class: "flow-handle", "data-handle": name })]));
  for (const [name, circle] of Object.entries(circles)) {
    const move = (event) => {
      const inverse = root.getScreenCTM().inverse();
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
      dragged(name, scale.back([x, y]));
    };
    circle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      circle.setPointerCapture(event.pointerId);
      circle.onpointermove = move;
    });
    circle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // else the page scrolls
    for (const over of ["pointerup", "pointercancel"]) circle.addEventListener(over, () => (circle.onpointermove = null));
    root.append(circle);
  }
  const show = (drawn, places, label) => {
    moving.replaceChildren(...drawn);
    for (const [name, circle] of Object.entries(circles)) {
      const place = places[name];
      circle.style.display = place ? "" : "none";
      if (!place) continue;
      const [cx, cy] = scale.at(place);
      circle.setAttribute("cx", cx);
      circle.setAttribute("cy", cy);
    }
    root.setAttribute("aria-label", `${title}: ${label}`);
  };
  return { root, show };
}
