// The flow of two modes on the line, and what the three conditions say of a map: the first part of the triangle's
// module. The same numbers as problems.two_modes() and losses.py have in torch.

const ORDERED = ["s", "u", "t"];
const STEPS = 200; // of the solver, from any s to any t
const SMALL = 1e-4; // of the central differences

/** b_t(x) of N(0, sigma^2) at time 0 and of two modes N(-mean, std^2), N(mean, std^2) at time 1. */
export function velocity({ mean, std, sigma }, t, x) {
  const noise = (1 - t) * sigma * sigma, spread = (1 - t) * noise + t * t * std * std;
  return ((t * std * std - noise) * x + noise * mean * Math.tanh((mean * t * x) / spread)) / spread;
}

/** X_{s,t}(x) of that flow, in either order of s and t: the method of Runge and Kutta of order 4. */
export function flow(problem, s, t, x) {
  const h = (t - s) / STEPS;
  for (let k = 0; k < STEPS; k++) {
    const time = s + k * h;
    const a = velocity(problem, time, x);
    const b = velocity(problem, time + h / 2, x + (h / 2) * a);
    const c = velocity(problem, time + h / 2, x + (h / 2) * b);
    x += (h / 6) * (a + 2 * b + 2 * c + velocity(problem, time + h, x + h * c));
  }
  return x;
}

/** The maps X(problem, s, t, x) by name: the exact one, and a wrong one that keeps the velocity of the start. */
export const MAPS = {
  exact: flow,
  euler: (problem, s, t, x) => x + (t - s) * velocity(problem, s, x),
};

/** What a condition compares for the jump from (s, x) to t, and its residual. The velocity is the map's diagonal, b. */
export function gesture(problem, map, condition, { s, u, t, x }) {
  const X = (from, to, at) => MAPS[map](problem, from, to, at);
  const landed = X(s, t, x);
  if (condition === "lagrangian") {
    const rate = (X(s, t + SMALL, x) - X(s, t - SMALL, x)) / (2 * SMALL);
    const found = velocity(problem, t, landed);
    return { landed, rate, found, residual: rate - found };
  }
  if (condition === "eulerian") {
    const slope = velocity(problem, s, x);
    const moved = (step) => X(s + step, t, x + step * slope);
    return { landed, slope, residual: (moved(SMALL) - moved(-SMALL)) / (2 * SMALL) };
  }
  const stop = X(s, u, x), second = X(u, t, stop);
  return { landed, stop, second, residual: second - landed };
}

/** Times with `which` moved to `value`: s <= u <= t holds, and the moved one pushes the others. */
export function ordered(times, which, value) {
  const moved = { ...times, [which]: Math.min(1, Math.max(0, value)) }, at = ORDERED.indexOf(which);
  ORDERED.forEach((name, k) => {
    if (k < at) moved[name] = Math.min(moved[name], moved[which]);
    if (k > at) moved[name] = Math.max(moved[name], moved[which]);
  });
  return moved;
}
