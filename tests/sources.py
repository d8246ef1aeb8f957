"""Each publication's own training objective, in its own notation and direction of time.

Nothing here calls the package: derivatives are taken in reverse mode (`torch.autograd.functional.jvp`
differentiates twice), and theta^- is a deep copy of the network. `test_methods` compares the
gradients with those of the methods in `flowmap_edu.methods`.

Every objective gets the network in the source's own form, made from one v(s, t, x) by the
substitution that the method names; the functions at the end make those forms.
"""

import math

import torch
from torch import Tensor
from torch.autograd.functional import jvp as reverse_jvp


def norm2(x: Tensor) -> Tensor:
    return (x**2).sum(1)


def dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(1)


def col(t: Tensor) -> Tensor:
    return t[:, None]


def total(f, at: tuple[Tensor, ...], along: tuple[Tensor, ...], keep: bool = False) -> Tensor:
    """The derivative of f along a direction, by two reverse passes."""
    return reverse_jvp(f, at, along, create_graph=keep)[1]


# --- flow maps: Boffi, Albergo & Vanden-Eijnden 2024 and 2025 (noise at 0) -------------------------------


def flow_matching(v, t, x0, x1):
    return norm2(v(t, t, (1 - col(t)) * x0 + col(t) * x1) - (x1 - x0))


def lagrangian_self_distillation(X, frozen_X, frozen_b, s, t, x):
    """|d/dt X_{s,t}(x) - sg(v_{t,t}(X_{s,t}(x)))|^2."""
    moved = total(lambda t: X(s, t, x), (t,), (torch.ones_like(t),), keep=True)
    return norm2(moved - frozen_b(t, frozen_X(s, t, x)).detach())


def eulerian_self_distillation(X, frozen_X, frozen_b, s, t, x):
    """|d/ds X_{s,t}(x) + sg(grad X_{s,t}(x) v_{s,s}(x))|^2."""
    moved = total(lambda s: X(s, t, x), (s,), (torch.ones_like(s),), keep=True)
    pushed = total(lambda x: frozen_X(s, t, x), (x,), (frozen_b(s, x).detach(),))
    return norm2(moved + pushed.detach())


def progressive_self_distillation(v, frozen_v, frozen_X, s, u, t, x):
    """|v_{s,t}(x) - sg[(1-h) v_{s,u}(x) + h v_{u,t}(X_{s,u}(x))]|^2 with u = h s + (1-h) t."""
    h = col((t - u) / (t - s))
    bracket = (1 - h) * frozen_v(s, u, x) + h * frozen_v(u, t, frozen_X(s, u, x))
    return norm2(v(s, t, x) - bracket.detach())


def lagrangian_map_distillation(X, b, s, t, x):
    """|d/dt X_{s,t}(x) - b_t(X_{s,t}(x))|^2, the gradient through both terms."""
    return norm2(total(lambda t: X(s, t, x), (t,), (torch.ones_like(t),), keep=True) - b(t, X(s, t, x)))


def flow_map_matching(X, x0, x1, s, t):
    """2024, both orders of s and t: |d/dt X_{s,t}(X_{t,s}(I_t)) - dI_t|^2 + |X_{s,t}(X_{t,s}(I_t)) - I_t|^2."""
    I_t, dI_t = (1 - col(t)) * x0 + col(t) * x1, x1 - x0
    there = X(t, s, I_t)
    moved = total(lambda start, end: X(s, end, start), (there, t), (0 * there, torch.ones_like(t)), keep=True)
    return norm2(moved - dI_t) + norm2(X(s, t, there) - I_t)


def eulerian_map_distillation(X, b, s, t, x):
    """|d/ds X_{s,t}(x) + grad X_{s,t}(x) b_s(x)|^2, the gradient through both terms."""
    moved = total(lambda s: X(s, t, x), (s,), (torch.ones_like(s),), keep=True)
    return norm2(moved + total(lambda x: X(s, t, x), (x,), (b(s, x),), keep=True))


# --- FreeFlow: Tong et al. 2025 (noise at 1; F(z, delta) is the average velocity from noise over delta) -----


def free_flow(F, frozen_F, u, z, delta):
    """|F - sg(u(f, 1 - delta) - delta dF/ddelta)|^2 with f = z + delta F."""
    value = frozen_F(z, delta)
    moved = total(lambda delta: frozen_F(z, delta), (delta,), (torch.ones_like(delta),))
    return norm2(F(z, delta) - (u(z + col(delta) * value, 1 - delta) - col(delta) * moved).detach())


# --- terminal velocity matching: Zhou et al. 2025 (noise at 1; F(x, t, s) jumps from t to a smaller s) -----


def terminal_velocity_matching(F, frozen_F, slow_F, x, t, s):
    """|d/ds f(x, t, s) - sg(F*(x + f(x, t, s), s, s))|^2 with f = (s - t) F, and F* of the moving average."""
    moved = total(lambda s: col(s - t) * F(x, t, s), (s,), (torch.ones_like(s),), keep=True)
    return norm2(moved - slow_F(x + col(s - t) * frozen_F(x, t, s), s, s).detach())


# --- consistency models: Song et al. 2023 (x_tau = x + tau z; data at 0) -----------------------------


def consistency_training_discrete(f, frozen_f, x, z, tau, tau_next):
    """||f(x + tau_{n+1} z, tau_{n+1}) - f^-(x + tau_n z, tau_n)||^2, tau > tau_next."""
    return norm2(f(x + col(tau) * z, tau) - frozen_f(x + col(tau_next) * z, tau_next).detach())


def consistency_distillation_discrete(f, frozen_f, denoiser, x, z, tau, tau_next):
    """The same, the later point one Euler step of dx/dtau = (x - D(x, tau)) / tau."""
    noisy = x + col(tau) * z
    stepped = noisy + col(tau_next - tau) * (noisy - denoiser(noisy, tau)) / col(tau)
    return norm2(f(noisy, tau) - frozen_f(stepped, tau_next).detach())


def easy_consistency(f, frozen_f, x, z, tau, done, unit, *, q=2, k=8.0, b=1.0, stages=8):
    """Geng et al. 2024: ||f(x + tau z, tau) - f^-(x + r z, r)|| / (tau - r); tau / unit has data of deviation 1/2."""
    stage = min(int(stages * done), stages - 1)
    r = (tau * (1 - (1 + k * torch.sigmoid(-b * tau / unit)) / q ** (stage + 1))).clamp(min=0)
    apart = f(x + col(tau) * z, tau) - frozen_f(x + col(r) * z, r).detach()
    return norm2(apart).sqrt() / (tau - r)


def consistency_continuous(f, frozen_f, x, z, tau, denoiser=None):
    """f . d f^-/dtau along dx/dtau = (x_tau - x) / tau, or along the teacher's (x_tau - D) / tau."""
    noisy = x + col(tau) * z
    slope = (noisy - (x if denoiser is None else denoiser(noisy, tau))) / col(tau)
    return dot(f(noisy, tau), total(frozen_f, (noisy, tau), (slope, torch.ones_like(tau))).detach())


# --- consistency trajectory models: Kim et al. 2023 (x_tau = x + tau z; G(x, tau, to) jumps from tau to `to`) --


def trajectory_matching(G, inner_G, outer_G, x, tau, middle, to):
    """||G^-(G(x_tau, tau, to), to, 0) - G^-(G^-(G^-(x_tau, tau, u), u, to), to, 0)||^2, the solver being G^- itself."""
    end = 0 * tau
    stepped = outer_G(x, tau, middle)
    target = outer_G(inner_G(stepped, middle, to), to, end)
    return norm2(outer_G(G(x, tau, to), to, end) - target.detach())


# --- consistency mid-training: Hu et al. 2025 (x_0, ..., x_N of the teacher's solver, from pure noise) -------


def mid_training(f, path, taus, k):
    """||f(x_k, tau_k) - x_N||^2 on the solver's points, path of shape (B, N + 1, D)."""
    at = torch.arange(len(k))
    return norm2(f(path[at, k], taus[k]) - path[:, -1])


# --- consistency flow matching: Yang et al. 2024 (noise at 0; v knows no end time) -----------------------


def consistency_flow_matching(v, frozen_v, x, z, t, *, delta=1e-3, segments=2, late=0.9, alpha=1e-5):
    """||f - sg f_r||^2 + alpha ||v - sg v_r||^2, f = x_t + (e-t) v(x_t, t), r = t + delta; f_r = x_e for r >= late."""
    ends = torch.linspace(0, 1, segments + 1, dtype=t.dtype)
    e, r = ends[torch.searchsorted(ends, t).clamp(min=1)], (t + delta).clamp(max=1)
    x_t, x_r, x_e = (col(1 - at) * z + col(at) * x for at in (t, r, e))
    here, then = v(x_t, t), frozen_v(x_r, r).detach()
    known = torch.where(col(r < late), x_r + col(e - r) * then, x_e)
    early = (t < late) & (e - t > 1.01 * delta)
    return norm2(x_t + col(e - t) * here - known) + alpha * early * norm2(here - then)


# --- sCM: Lu & Song 2024 (TrigFlow) ------------------------------------------------------------------


def scm(F, frozen_F, sigma, x, z, tau, *, ramp=1.0, normalise=None, teacher=None):
    """||F - F^- - g||^2 with g = -cos^2 (sigma F^- - dx) - r cos sin (x_tau + sigma dF^-), g / (||g|| + c)."""
    cos, sin = col(tau.cos()), col(tau.sin())
    noisy = cos * x + sin * z
    dx = cos * z - sin * x if teacher is None else teacher(noisy, tau)
    value = frozen_F(noisy / sigma, tau)
    dF = total(frozen_F, (noisy / sigma, tau), (dx / sigma, torch.ones_like(tau)))
    g = -(cos**2) * (sigma * value - dx) - ramp * cos * sin * (noisy + sigma * dF)
    if normalise is not None:
        g = g / (g.norm(dim=1, keepdim=True) + normalise)
    return norm2(F(noisy / sigma, tau) - (value + g).detach())


# --- flow-anchored consistency models: Peng et al. 2025 (noise at 0) ---------------------------------


def flow_anchored(F, frozen_F, x, noise, t, *, p=0.5, c=1e-3, cut=1.0):
    """cos(pi t/2) e / sg(e + c)^(1/2), e = ||F - sg(F^- - a g)||^2, g = F^- - v - (1-t) dF^-/dt, a = 1 - t^p."""
    x_t, v, one = col(t) * x + col(1 - t) * noise, x - noise, torch.ones_like(t)
    dF = total(lambda x, t: frozen_F(x, t, one), (x_t, t), (v, one))
    held = frozen_F(x_t, t, one)
    g = (held - v - col(1 - t) * dF).clamp(-cut, cut)
    e = norm2(F(x_t, t, one) - (held - col(1 - t**p) * g).detach())
    return (t * math.pi / 2).cos() * e / (e + c).sqrt().detach()


# --- shortcut models: Frans et al. 2024 (noise at 0) -------------------------------------------------


def shortcut(net, slow_net, x_t, t, d, smallest):
    """||s(x, t, 2d) - sg[s(x, t, d) / 2 + s(x', t + d, d) / 2]||^2, the smallest step d asked as d = 0."""
    asked = torch.where(d <= smallest, 0 * d, d)
    first = slow_net(x_t, t, asked)
    second = slow_net(x_t + col(d) * first, t + d, asked)
    return norm2(net(x_t, t, 2 * d) - ((first + second) / 2).detach())


# --- progressive distillation: Salimans & Ho 2022 (noise at 1; alpha = 1 - tau, sigma = tau) ---------


def progressive_distillation(x_hat, teacher_x_hat, z, tau, middle, last, weight=lambda snr: snr.clamp(min=1)):
    """max(SNR, 1) ||x_tilde - x_hat||^2: one DDIM step of the student to two of the teacher."""

    def ddim(z, tau, to):
        x = teacher_x_hat(z, tau, to)
        return col(1 - to) * x + col(to / tau) * (z - col(1 - tau) * x)

    twice = ddim(ddim(z, tau, middle), middle, last)
    ratio = last / tau
    target = (twice - col(ratio) * z) / col((1 - last) - ratio * (1 - tau))
    snr = ((1 - tau) / tau) ** 2
    return weight(snr) * norm2(target.detach() - x_hat(z, tau, last))


# --- Align Your Flow: Sabour et al. 2025 (noise at 1; jumps from tau to a smaller one) ---------------


def ayf_emd(f, frozen_F, velocity, x, tau, to, *, ramp=1.0, normalise=None):
    """f . sg(df^-/dtau) on the teacher's flow, df/dtau = (v - F) + r (to - tau) dF/dtau, g / (||g|| + c)."""
    v = velocity(x, tau)
    dF = total(lambda x, tau: frozen_F(x, tau, to), (x, tau), (v, torch.ones_like(tau)))
    g = (v - frozen_F(x, tau, to)) + ramp * col(to - tau) * dF
    if normalise is not None:
        g = g / (g.norm(dim=1, keepdim=True) + normalise)
    return dot(f(x, tau, to), g.detach()) * torch.sign(tau - to)


def ayf_lmd(f, frozen_f, velocity, x, tau, to):
    """sign(to - tau) f . sg(df^-/dto - v(f^-, to))."""
    landed = frozen_f(x, tau, to)
    moved = total(lambda to: frozen_f(x, tau, to), (to,), (torch.ones_like(to),))
    return torch.sign(to - tau) * dot(f(x, tau, to), (moved - velocity(landed, to)).detach())


# --- mean flows (noise at 1; u(z, r, t) from t back to r) --------------------------------------------


def mean_flow(u, frozen_u, x, eps, r, t, *, c=1e-3, p=1.0):
    """Geng et al. 2025a: ||u - sg(v - (t-r) du/dt)||^2 / sg(||.||^2 + c)^p."""
    z, v = (1 - col(t)) * x + col(t) * eps, eps - x
    du = total(lambda z, t: frozen_u(z, r, t), (z, t), (v, torch.ones_like(t)))
    error = norm2(u(z, r, t) - (v - col(t - r) * du).detach())
    return error / (error.detach() + c) ** p


def improved_mean_flow(u, frozen_u, x, eps, r, t, *, c=1e-3, p=1.0):
    """Geng et al. 2025b: ||V - v||^2 with V = u + (t-r) sg(du/dt), pushed by the network's own u(z, t, t)."""
    z, v = (1 - col(t)) * x + col(t) * eps, eps - x
    du = total(lambda z, t: frozen_u(z, r, t), (z, t), (frozen_u(z, t, t).detach(), torch.ones_like(t)))
    error = norm2(u(z, r, t) + col(t - r) * du.detach() - v)
    return error / (error.detach() + c) ** p


def transition(F, frozen_F, x, z, t, r, *, h=0.005, sigma=1.0, c=1e-5):
    """Wang et al. 2025: w ||F - sg(v - (t-r) dF)||^2, dF = (F(x_{t+h}, t+h, r) - F(x_{t-h}, t-h, r)) / 2h."""

    def on_the_line(t):
        return frozen_F((1 - col(t)) * x + col(t) * z, r, t)

    dF = (on_the_line(t + h) - on_the_line(t - h)) / (2 * h)
    error = norm2(F((1 - col(t)) * x + col(t) * z, r, t) - (z - x - col(t - r) * dF).detach())
    return error / (error.detach() + c) / (t.tan() - r.tan() + sigma).sqrt()


def alpha_flow(u, frozen_u, x, eps, r, t, done, *, c=1e-3):
    """Zhang et al. 2025: alpha ||u - sg(...)||^2 / sg(||.||^2 + c), the target of dt = alpha (t-r) along v, then u."""
    alpha = torch.tensor(1 - 1 / (1 + math.exp(-25 * (done - 0.5))), dtype=t.dtype)
    alpha = alpha.clamp(min=0.005) if alpha <= 1 - 0.005 else torch.ones_like(alpha)
    z, v, dt = (1 - col(t)) * x + col(t) * eps, eps - x, alpha * (t - r)
    then = frozen_u(z - col(dt) * v, r, t - dt)
    target = (col(dt) * v + col(t - dt - r) * then) / col(t - r)
    error = norm2(u(z, r, t) - target.detach())
    return alpha * error / (error.detach() + c)


def solution_flow(F, frozen_F, x, eps, t, s, done, *, init=0.1, end=0.002, c=0.01, p=1.0):
    """Luo et al. 2025: sgn(s-t) F . sg(q) / (||q||^2 + c)^p with q = (f(x_t, t, s) - f^-(x_l, l, s)) / (t - l)."""
    later = t + (s - t) * init * (end / init) ** done
    z, v = (1 - col(t)) * x + col(t) * eps, eps - x
    here = z + col(s - t) * frozen_F(z, t, s)
    z_l = z + col(later - t) * v
    quotient = ((here - z_l - col(s - later) * frozen_F(z_l, later, s)) / col(t - later)).detach()
    return torch.sign(s - t) * dot(F(z, t, s), quotient) / (norm2(quotient) + c) ** p


def split_mean_flow(u, frozen_u, z, r, q, t):
    """Guo et al. 2025: u(z_t, r, t) = (1-l) u(z_q, r, q) + l u(z_t, q, t) with q = (1-l) t + l r."""
    split = col((t - q) / (t - r))
    short = frozen_u(z, q, t)
    return norm2(u(z, r, t) - ((1 - split) * frozen_u(z - col(t - q) * short, r, q) + split * short).detach())


# --- the substitutions -------------------------------------------------------------------------------


def jump(v):
    """X_{s,t}(x) = x + (t - s) v_{s,t}(x)."""
    return lambda s, t, x: x + col(t - s) * v(s, t, x)


def ve(v, sigma):
    """f(x_tau, tau) = X_{s,1}(s x_tau) with s = sigma / (sigma + tau)."""

    def f(x, tau):
        s = sigma / (sigma + tau)
        return jump(v)(s, torch.ones_like(s), col(s) * x)

    return f


def ve_jump(v, sigma):
    """G(x_tau, tau, to) = (to/tau) x_tau + (1 - to/tau) g(x_tau, tau, to), g = s x_tau + (1-s) v_{s,t}(s x_tau)."""

    def G(x, tau, to):
        s, t = sigma / (sigma + tau), sigma / (sigma + to)
        g = col(s) * x + col(1 - s) * v(s, t, col(s) * x)
        return col(to / tau) * x + col(1 - to / tau) * g

    return G


def ve_denoiser(b, sigma):
    """D(x_tau, tau) = I_s + (1-s) b_s(I_s) with I_s = s x_tau."""

    def denoiser(x, tau):
        s = sigma / (sigma + tau)
        return col(s) * x + col(1 - s) * b(s, col(s) * x)

    return denoiser


def clock(tau):
    """s with tan(tau) = (1-s)/s, and rho_s."""
    s = tau.cos() / (tau.cos() + tau.sin())
    return s, (s**2 + (1 - s) ** 2).sqrt()


def trig(v, sigma):
    """F(x_tau / sigma, tau) with X_{s,1}(rho_s x_tau) = cos(tau) x_tau - sin(tau) sigma F."""

    def F(y, tau):
        s, rho = clock(tau)
        landed = jump(v)(s, torch.ones_like(s), col(rho) * sigma * y)
        return (col(tau.cos()) * sigma * y - landed) / (col(tau.sin()) * sigma)

    return F


def trig_velocity(b):
    """E[cos z - sin x | x_tau], from E[x1 | I_s] = I_s + (1-s) b and E[x0 | I_s] = I_s - s b."""

    def velocity(x, tau):
        s, rho = clock(tau)
        at = col(rho) * x
        slope = b(s, at)
        return col(tau.cos()) * (at - col(s) * slope) - col(tau.sin()) * (at + col(1 - s) * slope)

    return velocity


def backwards(v):
    """u(z, r, t) = -v_{1-t,1-r}(z)."""
    return lambda z, r, t: -v(1 - t, 1 - r, z)
