// node tests/flow.test.mjs flow.js case.json: evaluate the module's pure functions on a case written by
// test_live.py and print what came out, as JSON. The assertions stand there, beside torch.
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";

const [module, file] = process.argv.slice(2).map((path) => readFileSync(path));
const flow = await import(`data:text/javascript;base64,${module.toString("base64")}`);
const { state, packed, questions, samples, strips } = JSON.parse(file);

/** A view that starts at an odd byte, as a widget's buffers may. */
const view = (text) => {
  const bytes = Buffer.from(text, "base64"), room = new Uint8Array(bytes.length + 3);
  room.set(bytes, 3);
  return new DataView(room.buffer, 3, bytes.length);
};
const whole = { ...state };
for (const [name, text] of Object.entries(packed)) whole[name] = view(text);
const read = (changes = {}) => flow.read((name) => ({ ...whole, ...changes })[name]);

const { clouds, small } = read();
const net = flow.unpack(small.numbers, small.shape);
const out = { clouds: clouds.map((cloud) => [...cloud]), used: net.used, given: small.numbers.length };

// v, X and N steps, one (s, t, x) after the other
out.v = questions.map(([s, t, x]) => [...flow.velocity(net, s, t, x)]);
out.X = questions.map(([s, t, x]) => [...flow.jump(net, s, t, x)]);
out.samples = samples.map((steps) => [...flow.sample(net, small.noise, steps)]);

// the worker's program, run in a real worker, and the same on this thread
const shim = `const { parentPort: port } = require("node:worker_threads");
const self = { postMessage: (message) => port.postMessage(message) };
port.on("message", (data) => self.onmessage({ data }));\n`;
const worker = new Worker(shim + flow.workerSource(), { eval: true });
const answer = (question) => new Promise((resolve, reject) => {
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.postMessage(question);
});
worker.postMessage({ numbers: small.numbers, shape: small.shape, noise: small.noise });
out.worker = [];
for (const [s, t] of questions.slice(0, 5)) {
  const there = await answer({ s, t }), here = flow.carry(net, small.noise, s, t);
  out.worker.push({ s, t, end: [...there.end], same: ["start", "end"].every((k) => Buffer.compare(Buffer.from(there[k].buffer), Buffer.from(here[k].buffer)) === 0) });
}
await worker.terminate();

// damage: each change must be refused in words, with nothing drawn and nothing thrown from `render`
const nan = new DataView(Float32Array.from({ length: whole.clouds.byteLength / 4 }, () => NaN).buffer);
const damages = {
  "clouds cut short": { clouds: view(packed.clouds.slice(0, -8)) },
  "clouds missing": { clouds: undefined },
  "clouds not finite": { clouds: nan },
  "steps empty": { steps: [] },
  "scores short": { scores: [0.1] },
  "weights cut short": { weights: view(packed.weights.slice(0, -8)) },
  "another network": { net: { ...state.net, sizes: [3, ...state.net.sizes.slice(1)] } },
  "net is text": { net: { sizes: "many" } },
  "squares are a number": { squares: 7 },
};
out.damages = {};
const element = () => ({ dataset: {}, children: [], style: {}, append(...more) { this.children.push(...more); }, replaceChildren(...all) { this.children = all; }, remove() {} });
globalThis.document = { createElement: element };
for (const [name, change] of Object.entries(damages)) {
  const el = element();
  const stop = flow.default.render({ model: { get: (key) => ({ ...whole, ...change })[key] }, el });
  stop();
  out.damages[name] = el.children[0].children.map((child) => child.textContent).join("");
}

// stamps: pixels that a point at x covers, in a picture 25 pixels wide over [-1.25, 1.25]
out.stamps = strips.map(([x, y]) => {
  const pixels = new Uint8ClampedArray(4 * 25 * 25).fill(255);
  flow.stamp(pixels, 25, [x ?? NaN, y], // JSON has no NaN
    [0, 0, 0], 1, 1);
  return [...pixels.keys()].filter((at) => at % 4 === 0 && pixels[at] === 0).map((at) => [(at / 4) % 25, Math.floor(at / 100)]);
});

process.stdout.write(JSON.stringify(out));
