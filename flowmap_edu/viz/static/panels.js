// The two panels of the live figure and the functions that draw them: the second part of its module.

const HALF = 1.25; // the panels show [-HALF, HALF]^2
const TRAVEL = 250; // milliseconds from one cloud to the next
const BLUE = [0x00, 0x72, 0xb2], VERMILLION = [0xd5, 0x5e, 0x00]; // Okabe & Ito
const LINKS = 40; // lines drawn from a point at s to where it lands

// --- drawing --------------------------------------------------------------------------------------

/** Blend a square of `size` pixels at every point into RGBA bytes of width x width pixels. */
export function stamp(pixels, width, points, [red, green, blue], size, alpha) {
  const unit = width / (2 * HALF), last = width - size;
  for (let p = 0; p < points.length; p += 2) {
    const left = Math.round((points[p] + HALF) * unit - size / 2);
    const top = Math.round((HALF - points[p + 1]) * unit - size / 2);
    if (!(left >= 0 && top >= 0 && left <= last && top <= last)) continue;
    for (let row = top; row < top + size; row++) {
      for (let at = 4 * (row * width + left), end = at + 4 * size; at < end; at += 4) {
        pixels[at] += alpha * (red - pixels[at]);
        pixels[at + 1] += alpha * (green - pixels[at + 1]);
        pixels[at + 2] += alpha * (blue - pixels[at + 2]);
      }
    }
  }
}

/** A square picture that fits its frame at the screen's own resolution; `paint` draws into it. */
function picture(squares, paint) {
  const canvas = make("canvas", { className: "flow-card" });
  canvas.setAttribute("role", "img");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const draw = () => {
    const width = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
    if (!width) return; // not on the page yet, or hidden
    if (canvas.width !== width) canvas.width = canvas.height = width;
    const unit = width / (2 * HALF);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, width);
    context.fillStyle = "#eee";
    for (const [x, y, side] of squares) context.fillRect((x + HALF) * unit, (HALF - y - side) * unit, side * unit, side * unit);
    context.strokeStyle = "#888";
    context.strokeRect((HALF - 1) * unit, (HALF - 1) * unit, 2 * unit, 2 * unit); // [-1, 1]^2
    paint(context, width);
  };
  const observer = new ResizeObserver(draw);
  observer.observe(canvas);
  window.addEventListener("resize", draw); // zooming changes the resolution, not the size
  const stop = () => {
    observer.disconnect();
    window.removeEventListener("resize", draw);
  };
  return { canvas, draw, stop };
}

/** Stamp sets of points [points, colour, alpha] one over the other. */
function stampAll(context, width, sets) {
  const image = context.getImageData(0, 0, width, width);
  const size = Math.max(1, Math.round(1.6 * (window.devicePixelRatio || 1)));
  for (const [points, colour, alpha] of sets) stamp(image.data, width, points, colour, size, alpha);
  context.putImageData(image, 0, 0);
}

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** A labelled slider. JupyterLab leaves the arrow keys to the focused element only if it has this attribute. */
function slider(text, properties) {
  const range = make("input", { type: "range", ...properties });
  range.setAttribute("data-lm-suppress-shortcuts", "true");
  return { range, label: make("label", {}, make("span", { textContent: text }), range) };
}

// --- the panels ------------------------------------------------------------------------------------

/** The left panel: the cloud after N jumps, travelling to the next one when N changes. */
function stepPanel({ steps, scores, clouds, points, squares, caption }, model, el) {
  const last = steps.length - 1;
  const indexOf = (step) => Math.max(0, steps.indexOf(step));
  let index = indexOf(model.get("step")), shown = Float32Array.from(clouds[index]), frame = 0;
  const { range, label } = slider("jumps N", { min: 0, max: last, step: 1, value: index });
  const output = make("output");
  output.setAttribute("aria-live", "polite");
  const view = picture(squares, (context, width) => stampAll(context, width, [[shown, BLUE, 0.55]]));

  function travel() {
    cancelAnimationFrame(frame);
    const from = Float32Array.from(shown), to = clouds[index];
    const still = window.matchMedia?.("(prefers-reduced-motion: reduce)").matches || from.every((v, i) => v === to[i]);
    let begun, frames = 0, worst = 0, spent = 0;
    el.dataset.settled = "false";
    const go = (now) => {
      const clock = performance.now();
      begun ??= now;
      const part = still ? 1 : Math.min(1, (now - begun) / TRAVEL), ease = part * part * (3 - 2 * part);
      if (part === 1) shown.set(to);
      else for (let i = 0; i < to.length; i++) shown[i] = from[i] + ease * (to[i] - from[i]);
      view.draw();
      const ms = performance.now() - clock;
      worst = Math.max(worst, ms);
      spent += ms;
      frames += 1;
      if (part < 1) frame = requestAnimationFrame(go);
      else {
        const first = `${shown[0]},${shown[1]}`;
        Object.assign(el.dataset, { settled: "true", first, frames, ms: (spent / frames).toFixed(2), worst: worst.toFixed(2) });
      }
    };
    if (still) go(0);
    else frame = requestAnimationFrame(go);
  }
  function show() {
    const n = steps[index], jumps = n === 1 ? "1 jump" : `${n} jumps`;
    const kl = scores[index] == null ? "" : scores[index].toFixed(4);
    range.value = index;
    range.setAttribute("aria-valuetext", jumps);
    output.textContent = jumps + (kl && `: KL64 ${kl}`);
    view.canvas.setAttribute("aria-label", `${points} points after ${output.textContent}`);
    Object.assign(el.dataset, { steps: n, kl });
    travel();
  }
  const moved = () => {
    index = +range.value;
    show();
    model.set("step", steps[index]);
    model.save_changes();
  };
  const told = () => {
    if (steps[index] === model.get("step")) return;
    index = indexOf(model.get("step"));
    show();
  };
  range.addEventListener("input", moved);
  model.on("change:step", told);
  const stop = () => {
    cancelAnimationFrame(frame);
    view.stop();
    model.off("change:step", told);
  };
  const section = make("section", { className: "flow-panel", ariaLabel: "The map, by the number of jumps" }, view.canvas, label, output, make("p", { textContent: caption }));
  return { section, show, stop };
}

/** The right panel: X_{s,t} of the small network, evaluated here. */
function mapPanel({ small, squares, note }, model, el) {
  const time = (name) => Math.min(1, Math.max(0, Number(model.get(name)) || 0));
  let s = Math.min(time("s"), time("t")), t = time("t"), found = null, telling = false;
  const sliders = ["from s", "to t"].map((text) => slider(text, { min: 0, max: 1, step: 0.01 }));
  const output = make("output");
  output.setAttribute("aria-live", "polite");
  const view = picture(squares, (context, width) => {
    if (!found) return;
    const { start, end } = found, unit = width / (2 * HALF);
    stampAll(context, width, [[start, BLUE, 0.6], [end, VERMILLION, 0.8]]);
    context.strokeStyle = "#999";
    context.beginPath();
    for (let p = 0; p < Math.min(start.length, 2 * LINKS); p += 2) {
      context.moveTo((start[p] + HALF) * unit, (HALF - start[p + 1]) * unit);
      context.lineTo((end[p] + HALF) * unit, (HALF - end[p + 1]) * unit);
    }
    context.stroke();
  });
  const { ask, stop: stopEvaluator } = evaluator(small, (result, by, sent) => {
    found = result;
    view.draw();
    const mapMs = (performance.now() - sent).toFixed(2);
    Object.assign(el.dataset, { s: found.s, t: found.t, landed: `${found.end[0]},${found.end[1]}`, by, mapMs });
  });
  function show() {
    [s, t].forEach((value, k) => {
      sliders[k].range.value = value;
      sliders[k].range.setAttribute("aria-valuetext", value.toFixed(2));
    });
    output.textContent = `from s = ${s.toFixed(2)} to t = ${t.toFixed(2)}`;
    view.canvas.setAttribute("aria-label", `${small.noise.length / 2} points carried by the small map ${output.textContent}`);
    ask({ s, t });
  }
  const moved = (which) => () => { // s <= t: the slider that is moved pushes the other
    const value = +sliders[which].range.value;
    if (which) [s, t] = [Math.min(s, value), value];
    else [s, t] = [value, Math.max(t, value)];
    show();
    telling = true;
    model.set("s", s);
    model.set("t", t);
    telling = false;
    model.save_changes();
  };
  const told = () => {
    if (telling) return; // the model changes s and t one after the other
    const asked = [Math.min(time("s"), time("t")), time("t")];
    if (asked[0] === s && asked[1] === t) return;
    [s, t] = asked;
    show();
  };
  sliders.forEach(({ range }, which) => range.addEventListener("input", moved(which)));
  for (const name of ["s", "t"]) model.on(`change:${name}`, told);
  const stop = () => {
    stopEvaluator();
    view.stop();
    for (const name of ["s", "t"]) model.off(`change:${name}`, told);
  };
  const dot = (rgb) => make("i", { style: `background: rgb(${rgb})` });
  const key = make("p", {}, dot(BLUE), "noise carried to s, ", dot(VERMILLION), "and from there to t: with an exact map that cloud does not depend on s");
  const labels = sliders.map(({ label }) => label);
  return { section: make("section", { className: "flow-panel", ariaLabel: "A small map, between two times" }, view.canvas, ...labels, output, key, make("p", { textContent: note })), show, stop };
}
