// The small network of the live figure: the first part of its module.

// --- the network: the same numbers as torch's nets.MLP ------------------------------------------

/** A copy of some bytes as float32: they may start anywhere, and a Float32Array may not. */
export function floats(bytes) {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** The network from its numbers: frequencies (2, fourier / 2), then a matrix (out, in) and a bias (out) a layer. */
export function unpack(numbers, { scale, fourier, time_frequencies, sizes }) {
  const all = Float64Array.from(numbers);
  const waves = fourier / 2;
  let at = 2 * waves;
  const take = (count) => all.subarray(at, (at += count));
  const layers = sizes.slice(1).map((out, k) => ({ out, inn: sizes[k], w: take(out * sizes[k]), b: take(out) }));
  return { scale, waves, time_frequencies, frequencies: all.subarray(0, 2 * waves), layers, used: at };
}

/** y = w h + b of a layer, and SiLU of that where `bend`; four rows at a time keep the processor busy. */
export function affine({ out, inn, w, b }, h, y, bend) {
  let i = 0;
  for (; i + 3 < out; i += 4) {
    const p = i * inn, q = p + inn, r = q + inn, t = r + inn;
    let one = b[i], two = b[i + 1], three = b[i + 2], four = b[i + 3];
    for (let j = 0; j < inn; j++) {
      const value = h[j];
      one += w[p + j] * value;
      two += w[q + j] * value;
      three += w[r + j] * value;
      four += w[t + j] * value;
    }
    y[i] = one;
    y[i + 1] = two;
    y[i + 2] = three;
    y[i + 3] = four;
  }
  for (; i < out; i++) {
    y[i] = b[i];
    for (let j = 0; j < inn; j++) y[i] += w[i * inn + j] * h[j];
  }
  if (bend) for (i = 0; i < out; i++) y[i] /= 1 + Math.exp(-y[i]);
}

/** v_{s,t}(x) for numbers s, t and points x = [x_0, y_0, x_1, y_1, ...]; as long as x. */
export function velocity(net, s, t, x) {
  const { scale, waves, time_frequencies, frequencies, layers } = net;
  const widest = Math.max(layers[0].inn, ...layers.map(({ out }) => out));
  const v = new Float64Array(x.length);
  const input = new Float64Array(layers[0].inn);
  const hidden = [new Float64Array(widest), new Float64Array(widest)];
  const from = 2 + 2 * waves; // the times stand last: cos of pi k s, of pi k t, then the sines
  [s, t].forEach((time, which) => {
    if (!time_frequencies) input[from + which] = time;
    for (let k = 0; k < time_frequencies; k++) {
      const angle = time * Math.PI * (k + 1);
      input[from + which * time_frequencies + k] = Math.cos(angle);
      input[from + (2 + which) * time_frequencies + k] = Math.sin(angle);
    }
  });
  for (let p = 0; p < x.length; p += 2) {
    const a = (input[0] = x[p] / scale), b = (input[1] = x[p + 1] / scale);
    for (let k = 0; k < waves; k++) {
      const phase = a * frequencies[k] + b * frequencies[waves + k];
      input[2 + k] = Math.cos(phase);
      input[2 + waves + k] = Math.sin(phase);
    }
    let h = input;
    layers.forEach((layer, k) => {
      const y = hidden[k % 2];
      affine(layer, h, y, k < layers.length - 1);
      h = y;
    });
    v[p] = h[0];
    v[p + 1] = h[1];
  }
  return v;
}

/** X_{s,t}(x) = x + (t - s) v_{s,t}(x). */
export function jump(net, s, t, x) {
  return velocity(net, s, t, x).map((v, i) => x[i] + (t - s) * v);
}

/** The points after N equal jumps from time 0 to time 1. */
export function sample(net, x0, steps) {
  let x = x0;
  for (let k = 0; k < steps; k++) x = jump(net, k / steps, (k + 1) / steps, x);
  return x;
}

/** What the right panel shows: the noise carried to s, and from there to t; `last` saves the first jump if s is the same. */
export function carry(net, noise, s, t, last) {
  const start = last?.s === s ? last.start : s > 0 ? jump(net, 0, s, noise) : noise;
  return { s, t, start, end: t > s ? jump(net, s, t, start) : start };
}

/** The worker's side: first {numbers, shape, noise}, then a pair {s, t} at a time, each answered by `carry`. */
export function serve(port) {
  let net, noise, last;
  port.onmessage = ({ data }) => {
    if (data.numbers) {
      net = unpack(data.numbers, data.shape);
      noise = data.noise;
    } else port.postMessage((last = carry(net, noise, data.s, data.t, last)));
  };
}

/** The worker's program: these very functions, as text. */
export function workerSource() {
  return [unpack, affine, velocity, jump, carry, serve].map(String).join("\n") + "\nserve(self);\n";
}

/** Answers {s, t} by `carry`, in a worker where one can be made; while it is busy only the latest question waits. */
function evaluator({ numbers, shape, noise }, answer) {
  let worker, asked, waiting, sent, net, last;
  const ask = (question) => {
    if (asked) waiting = question;
    else if (worker) {
      sent = performance.now();
      worker.postMessage((asked = question));
    } else {
      sent = performance.now();
      net ??= unpack(numbers, shape);
      answer((last = carry(net, noise, question.s, question.t, last)), "page", sent);
    }
  };
  const next = () => {
    const question = waiting;
    asked = waiting = undefined;
    if (question) ask(question);
  };
  const stop = () => {
    worker?.terminate();
    worker = undefined;
  };
  try {
    const url = URL.createObjectURL(new Blob([workerSource()], { type: "text/javascript" }));
    worker = new Worker(url);
    worker.onmessage = ({ data }) => {
      URL.revokeObjectURL(url);
      answer(data, "worker", sent);
      next();
    };
    worker.onerror = (event) => { // a page may forbid workers that are made from its own text
      event.preventDefault();
      stop();
      waiting ??= asked;
      next();
    };
    worker.postMessage({ numbers, shape, noise });
  } catch {
    stop();
  }
  return { ask, stop };
}
