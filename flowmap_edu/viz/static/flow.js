// A flow map to move by hand, without a kernel, a network connection or a build step.
//
// The left panel shows where N jumps take the same noise; Python has computed these clouds. The right
// panel evaluates a small network v here, in the browser, and draws
//
//     X_{s,t}(x) = x + (t - s) v_{s,t}(x)
//
// at points x that X_{0,s} carried there from noise. The state comes from the model of an anywidget, or from
// a page that holds it. This is the third part of the module: live_figure.py joins network.js, panels.js
// and this file.

// --- the state ------------------------------------------------------------------------------------

/** The state, checked: throws an Error that says what is damaged. */
export function read(get) {
  const need = (right, what) => {
    if (!right) throw new Error(what);
  };
  const numbersOf = (name, count) => {
    const bytes = get(name);
    need(ArrayBuffer.isView(bytes), `${name} is missing`);
    need(bytes.byteLength === 4 * count, `${name} has ${bytes.byteLength} bytes, ${4 * count} were wanted`);
    const numbers = floats(bytes);
    need(numbers.every(Number.isFinite), `${name} holds a number that is not finite`);
    return numbers;
  };
  const whole = (n) => Number.isInteger(n) && n > 0;
  const steps = get("steps"), scores = get("scores"), points = get("points");
  need(Array.isArray(steps) && steps.length && steps.every(whole), "steps is no list of whole numbers");
  need(Array.isArray(scores) && scores.length === steps.length, "scores has not one entry a number of steps");
  need(whole(points), "points is no whole number");
  const all = numbersOf("clouds", steps.length * points * 2);
  const clouds = steps.map((_, k) => all.subarray(k * points * 2, (k + 1) * points * 2));
  const state = { steps, scores, points, clouds };
  for (const name of ["caption", "note"]) state[name] = String(get(name) ?? "");
  state.squares = get("squares") ?? [];
  need(Array.isArray(state.squares) && state.squares.every((q) => q?.length === 3), "squares is no list of triples");
  const shape = get("net");
  if (!shape?.sizes) return state;
  const { scale, fourier, time_frequencies, sizes } = shape;
  const count = fourier + sizes.slice(1).reduce((sum, out, k) => sum + out * (sizes[k] + 1), 0);
  const fits = sizes[0] === 2 + fourier + (4 * time_frequencies || 2) && sizes.at(-1) === 2 && scale > 0;
  need(fits, "net does not describe a network of the plane");
  const live = get("live");
  need(whole(live), "live is no whole number");
  state.small = { shape, numbers: numbersOf("weights", count), noise: numbersOf("noise", live * 2) };
  return state;
}

// --- the figure ------------------------------------------------------------------------------------

const STYLE = `
.flow-live { display: flex; flex-wrap: wrap; gap: 12px 28px; max-width: 1400px; margin: 4px 0; font: 13px/1.45 system-ui, sans-serif;
  color: var(--jp-ui-font-color1, currentColor); }
.flow-live .flow-panel { flex: 1 1 300px; max-width: clamp(360px, 75vh, 680px); min-width: 0; }
.flow-live .flow-card { display: block; width: 100%; aspect-ratio: 1; background: #fff; border: 1px solid #ddd; box-sizing: border-box; margin-bottom: 6px; }
.flow-live label { display: flex; gap: 8px; align-items: center; }
.flow-live label span { flex: 0 0 4.5em; }
.flow-live input { flex: 1; min-width: 0; height: 24px; margin: 2px; accent-color: #0072B2; }
.flow-live output, .flow-live p { display: block; margin: 4px 0 0; }
.flow-live output { font-variant-numeric: tabular-nums; }
.flow-live i { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .3em; }`;

/** anywidget's entry: draw `model` into `el`; the function it returns undoes all of it. */
function render({ model, el }) {
  const panels = [];
  const root = make("div", { className: "flow-live" }, make("style", { textContent: STYLE }));
  try {
    const state = read((name) => model.get(name));
    panels.push(stepPanel(state, model, el));
    if (state.small) panels.push(mapPanel(state, model, el));
    root.append(...panels.map(({ section }) => section));
    el.append(root);
    for (const { show } of panels) show();
  } catch (error) {
    const text = `This figure cannot be drawn: ${error.message}.`;
    root.replaceChildren(make("p", { textContent: text, role: "alert" }));
    el.append(root);
    el.dataset.error = error.message;
  }
  return () => {
    for (const { stop } of panels) stop();
    root.remove();
  };
}

export default { render };
