// A labelled slider, and a button that plays it. The sliders of ipywidgets have no names for screen readers.

const STYLE = `
.flow-slider { display: flex; gap: 8px; align-items: center; margin: 2px 12px 2px 2px; font: 13px/1.8 system-ui, sans-serif;
  color: var(--jp-ui-font-color1, currentColor); }
.flow-slider input { width: 12em; height: 24px; margin: 2px; accent-color: #0072B2; }
.flow-play { font: inherit; min-width: 5em; min-height: 24px; margin-right: 12px; color: var(--jp-ui-font-color1, currentColor);
  background: var(--jp-layout-color2, Canvas); border: 1px solid var(--jp-border-color1, #999); }
.flow-slider output { min-width: 2.2em; font-variant-numeric: tabular-nums; }`;

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** anywidget's entry: a native range, its name before it and its value after it. */
function render({ model, el }) {
  const [min, max, step] = ["min", "max", "step"].map((name) => model.get(name));
  const digits = (String(step).split(".")[1] ?? "").length;
  const range = make("input", { type: "range", min, max, step, value: model.get("value") });
  range.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the arrow keys
  const output = make("output", {});
  output.setAttribute("aria-hidden", "true"); // a screen reader reads the value of the range
  const show = () => {
    output.textContent = (+range.value).toFixed(digits);
    range.setAttribute("aria-valuetext", output.textContent);
  };
  const send = () => {
    show();
    if (model.get("value") === +range.value) return;
    model.set("value", +range.value);
    model.save_changes();
  };
  const told = () => {
    if (+range.value !== model.get("value")) range.value = model.get("value");
    show();
  };
  range.addEventListener("input", model.get("continuous_update") ? send : show);
  range.addEventListener("change", send);
  model.on("change:value", told);
  const label = make("label", { className: "flow-slider" }, make("span", { textContent: model.get("description") }), range);
  label.append(output);
  const parts = [make("style", { textContent: STYLE }), label];
  const every = model.get("interval"); // milliseconds; 0: nothing to play
  let clock = 0;
  const button = make("button", { className: "flow-play", textContent: "Play" });
  button.setAttribute("data-lm-suppress-shortcuts", "true");
  const pause = () => {
    clearInterval(clock);
    clock = 0;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (clock) return pause();
    if (+range.value >= max) range.value = min;
    send();
    button.textContent = "Pause";
    clock = setInterval(() => {
      if (model.get("shown") !== +range.value) return; // the kernel has not drawn this value yet
      range.value = +range.value + step;
      send();
      if (+range.value >= max) pause();
    }, every);
  });
  if (every) parts.push(button);
  const root = make("div", { style: "display: flex; flex-wrap: wrap; align-items: center" }, ...parts);
  el.append(root);
  show();
  return () => {
    pause();
    model.off("change:value", told);
    root.remove();
  };
}

export default { render };
