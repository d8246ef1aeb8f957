// node tests/triangle.test.mjs triangle.js case.json: evaluate the module's pure functions on a case written by
// test_triangle.py and print what came out, as JSON. The assertions stand there, beside torch.
import { readFileSync } from "node:fs";

const [module, file] = process.argv.slice(2).map((path) => readFileSync(path));
const triangle = await import(`data:text/javascript;base64,${module.toString("base64")}`);
const { state, states, moves, damages } = JSON.parse(file);
const reader = (values) => (name) => values[name];
const out = {};

out.velocity = states.map(({ t, start }) => triangle.velocity(state.problem, t, start));
out.computed = states.map((changes) => triangle.computed(triangle.read(reader({ ...state, ...changes }))));
out.told = out.computed.map(triangle.told);
out.moves = moves.map(([times, which, value]) => triangle.ordered(times, which, value));

// damage: each change must be refused in words, with nothing drawn and nothing thrown from `render`
const element = () => ({ dataset: {}, children: [], append(...more) { this.children.push(...more); }, replaceChildren(...all) { this.children = all; }, remove() {} });
globalThis.document = { createElement: element };
out.damages = Object.values(damages).map((changes) => {
  const el = element();
  triangle.default.render({ model: { get: reader({ ...state, ...changes }) }, el })();
  return el.children[0].children.map((child) => child.textContent).join("");
});

process.stdout.write(JSON.stringify(out));
