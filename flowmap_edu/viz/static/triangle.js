// The triangle of times (s, t), and beside it the jump from s to t in the (t, x) plane, both to move by hand. No kernel
// and no network connection is needed. This is the third part of the module, after two_modes.js and
// triangle_panels.js.

const NAME = { lagrangian: "Lagrangian", eulerian: "Eulerian", semigroup: "semigroup" };
const SHOWN = { exact: "the exact map", euler: "one Euler step" };
const SAYS = {
  lagrangian: "Move the end t. Solid arrow: how the landing point moves. Dashed arrow: the velocity that is found there.",
  eulerian: "Move the start s along the path. Arrow: the start moves with its velocity. The landing point should stay.",
  semigroup: "Stop on the way, at u. The second jump should end where the single jump ends.",
};
const FARTHEST = 1.2; // from 0 a path may start
const HEIGHT = 1.5; // the plane shows x in [-HEIGHT, HEIGHT]
const GREY = Array.from({ length: 12 }, (_, k) => (k - 5.5) / 5); // paths in the background start there

// --- the state ------------------------------------------------------------------------------------

/** The state, checked: throws an Error that says what is damaged. */
export function read(get) {
  const need = (right, what) => {
    if (!right) throw new Error(what);
  };
  const state = { problem: get("problem"), condition: get("condition"), shown: get("shown") };
  for (const name of ["mean", "std", "sigma"]) need(state.problem?.[name] > 0, `problem has no positive ${name}`);
  for (const name of ["s", "u", "t", "start"]) {
    state[name] = get(name);
    need(Number.isFinite(state[name]), `${name} is no number`);
  }
  const { s, u, t } = state;
  need(0 <= s && s <= u && u <= t && t <= 1, "0 <= s <= u <= t <= 1 does not hold");
  need(state.condition in COLOUR, "condition is unknown");
  need(state.shown in MAPS, "shown is no map");
  return state;
}

/** Everything that is drawn, from a state: the point x at time s on the path, and the gesture there. */
export function computed(state) {
  const x = flow(state.problem, 0, state.s, state.start);
  return { ...state, x, ...gesture(state.problem, state.shown, state.condition, { ...state, x }) };
}

const fixed = (number) => number.toFixed(2).replace(/^-0\.00$/, "0.00");

/** The state in words. */
export function told({ s, u, t, x, landed, residual, condition, shown }) {
  const stop = condition === "semigroup" ? `, stop at u = ${fixed(u)}` : "";
  const jump = `from s = ${fixed(s)}, x = ${fixed(x)} to t = ${fixed(t)}${stop}`;
  return `${SHOWN[shown]} ${jump}: it lands at ${fixed(landed)}; ${NAME[condition]} residual ${fixed(Math.abs(residual))}`;
}

// --- the figure ------------------------------------------------------------------------------------

const CSS = `
.flow-triangle { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 8px 16px; max-width: 900px; margin: 4px 0; font: 13px/1.45 system-ui, sans-serif;
  color: var(--jp-ui-font-color1, currentColor); }
.flow-triangle .flow-drawing { display: block; min-width: 0; background: #fff; border: 1px solid #ddd; box-sizing: border-box; }
.flow-triangle svg text { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.flow-triangle .flow-handle { fill: #000; fill-opacity: 0.07; stroke: none; cursor: grab; touch-action: none; }
.flow-triangle .flow-handle:hover { fill-opacity: 0.18; }
.flow-triangle .flow-controls { flex: 1 1 100%; display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 2px 20px; }
.flow-triangle label { display: flex; gap: 8px; align-items: center; }
.flow-triangle label span { flex: 0 0 6.5em; }
.flow-triangle input[type=range] { flex: 1; min-width: 0; height: 24px; margin: 2px; accent-color: #0072B2; }
.flow-triangle [role=radiogroup] { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 0 14px; align-items: center; }
.flow-triangle [role=radiogroup] label { min-height: 24px; gap: 4px; }
.flow-triangle [role=radiogroup] > span { flex: 0 0 5.5em; }
.flow-triangle output, .flow-triangle p { flex: 1 1 100%; margin: 2px 0 0; }
.flow-triangle output { font-variant-numeric: tabular-nums; }`;

const WHOLE = [-0.05, 1.05], PLANE = [-0.04, 1.17], UP = [-HEIGHT, HEIGHT];

/** A choice of one of several, by name -> words. */
function choice(title, name, options, chosen) {
  const group = `${name}-${Math.random().toString(36).slice(2)}`;
  const inputs = Object.entries(options).map(([value, text]) => {
    const input = make("input", { type: "radio", name: group, value });
    input.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the arrow keys
    input.addEventListener("change", () => chosen(value));
    return { value, input, label: make("label", {}, input, text) };
  });
  const show = (value) => inputs.forEach(({ input, value: own }) => (input.checked = own === value));
  const field = make("div", { role: "radiogroup", ariaLabel: title }, make("span", { textContent: title }), ...inputs.map(({ label }) => label));
  return { field, show };
}

function figure(model, el) {
  let state = read((name) => model.get(name)), telling = false;
  const triangle = axes(340, WHOLE, WHOLE), plane = axes(440, PLANE, UP);
  const update = (changes) => {
    state = { ...state, ...changes };
    show();
    telling = true;
    for (const name of Object.keys(changes)) model.set(name, changes[name]);
    telling = false;
    model.save_changes();
  };
  const move = (name, value) => update(ordered({ s: state.s, u: state.u, t: state.t }, name, value));
  const both = (s, t) => { // the pair itself is dragged: it stays in the triangle
    [s, t] = [s, t].map((time) => Math.min(1, Math.max(0, time)));
    if (s > t) s = t = (s + t) / 2;
    update({ s, t, u: Math.min(t, Math.max(s, state.u)) });
  };
  const left = picture(340, "The triangle of times", triangle, svg("g", {},
    svg("polygon", { points: points([[0, 0], [1, 0], [1, 1]], triangle.at), fill: "#f2f2f2" }),
    line(triangle.at, [[0, 0], [1, 1]], "#999"),
    frame(triangle.at, WHOLE, WHOLE, [0, 0.5, 1], [0, 0.5, 1], "end time t", "start time s")),
  ["first", "second", "pair"], (name, [t, s]) => (name === "pair" ? both(s, t) : move("u", name === "first" ? t : s)));
  const right = picture(440, "The jump in the plane of time and x", plane, svg("g", {},
    ...GREY.map((start) => line(plane.at, Array.from({ length: 41 }, (_, k) => [k / 40, flow(state.problem, 0, k / 40, start)]), "#ccc", 1)),
    frame(plane.at, PLANE, UP, [0, 0.5, 1], [-1, 0, 1], "time t", "x")),
  ["start", "u", "t", "s"], (name, [time, x]) => {
    if (name === "start") update({ start: Math.min(FARTHEST, Math.max(-FARTHEST, x)) });
    else move(name, time);
  });
  const sliders = [["s", "start s", 0, 1], ["u", "stop u", 0, 1], ["t", "end t", 0, 1], ["start", "x at time 0", -FARTHEST, FARTHEST]].map(([name, text, min, max]) => {
    const range = make("input", { type: "range", min, max, step: 0.01 });
    range.setAttribute("data-lm-suppress-shortcuts", "true");
    range.addEventListener("input", () => (name === "start" ? update({ start: +range.value }) : move(name, +range.value)));
    return { name, range, label: make("label", {}, make("span", { textContent: text }), range) };
  });
  const maps = choice("map", "map", SHOWN, (shown) => update({ shown }));
  const conditions = choice("condition", "condition", NAME, (condition) => update({ condition }));
  const output = make("output"), says = make("p");
  output.setAttribute("aria-live", "polite");
  function show() {
    const now = computed(state), said = told(now), semigroup = now.condition === "semigroup";
    left.show(trianglePicture(triangle.at, now), {
      pair: [now.t, now.s], first: semigroup && [now.u, now.s], second: semigroup && [now.t, now.u],
    }, said);
    right.show(planePicture(plane.at, now), { start: [0, now.start], s: [now.s, now.x], t: [now.t, now.landed], u: semigroup && [now.u, now.stop] }, said);
    for (const { name, range, label } of sliders) {
      range.value = state[name];
      range.setAttribute("aria-valuetext", state[name].toFixed(2));
      if (name === "u") label.style.display = semigroup ? "" : "none";
    }
    maps.show(now.shown);
    conditions.show(now.condition);
    output.textContent = said;
    const gap = semigroup ? "the residual" : `${STEP} times the residual`;
    says.textContent = `${SAYS[now.condition]} The thick bar is the gap: ${gap}. Drag the dots, or use the sliders.`;
    for (const name of ["s", "u", "t", "x", "landed", "residual", "condition", "shown"]) el.dataset[name] = now[name];
  }
  const names = ["s", "u", "t", "start", "condition", "shown"];
  const changed = () => {
    if (telling) return; // the model changes its values one after the other
    try {
      state = read((name) => model.get(name));
    } catch { return; } // half of a change: the other half follows
    show();
  };
  for (const name of names) model.on(`change:${name}`, changed);
  const controls = make("div", { className: "flow-controls" }, ...sliders.map(({ label }) => label), maps.field, conditions.field);
  show();
  return { parts: [left.root, right.root, output, controls, says], stop: () => names.forEach((name) => model.off(`change:${name}`, changed)) };
}

/** anywidget's entry: draw `model` into `el`; the function it returns undoes all of it. */
function render({ model, el }) {
  const root = make("div", { className: "flow-live flow-triangle" }, make("style", { textContent: CSS }));
  let stop = () => {};
  try {
    const made = figure(model, el);
    stop = made.stop;
    root.append(...made.parts);
  } catch (error) {
    root.replaceChildren(make("p", { textContent: `This figure cannot be drawn: ${error.message}.`, role: "alert" }));
    el.dataset.error = error.message;
  }
  el.append(root);
  return () => {
    stop();
    root.remove();
  };
}

export default { render };
