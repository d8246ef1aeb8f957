// A labelled menu. The arrow keys choose in it, also in JupyterLab, where they leave the menu of ipywidgets.

const STYLE = `
.flow-menu { display: flex; gap: 8px; align-items: center; margin: 2px 12px 2px 0; font: 13px/1.8 system-ui, sans-serif;
  color: var(--jp-ui-font-color1, currentColor); }
.flow-menu select { font: inherit; min-height: 24px; padding: 2px 4px; color: var(--jp-ui-font-color1, currentColor);
  background: var(--jp-layout-color1, Canvas); border: 1px solid var(--jp-border-color1, #999); }`;

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** anywidget's entry: a native select with its name before it. */
function render({ model, el }) {
  const select = make("select", {});
  select.setAttribute("data-lm-suppress-shortcuts", "true"); // else JupyterLab takes the arrow keys
  const fill = () => {
    select.replaceChildren(...model.get("options").map((text) => make("option", { value: text, textContent: text })));
    told();
  };
  const told = () => {
    select.value = model.get("value");
  };
  select.addEventListener("change", () => {
    model.set("value", select.value);
    model.save_changes();
  });
  model.on("change:options", fill);
  model.on("change:value", told);
  const name = make("span", { textContent: model.get("description") });
  const label = make("label", { className: "flow-menu" }, name, select);
  const style = make("style", { textContent: STYLE });
  el.append(style, label);
  fill();
  return () => {
    model.off("change:options", fill);
    model.off("change:value", told);
    style.remove();
    label.remove();
  };
}

export default { render };
