r"""The known methods as rows of one table; docs/methods-left-out.md says which are not, and why.

To train a flow map by any of them is to choose

    which condition holds off the diagonal   Lagrangian, Eulerian or semigroup (losses.py)
    at which times                           all s < t or both orders, s = 0 or t = 1 only, neighbours, dyadic jumps
    whose velocity it reads                  the map's own or its average's, the sample's dI_s, a frozen teacher's
    at which points                          on the path I_s, or on a teacher's trajectories
    where the stop-gradient goes             none, convex, semi, full
    with which weight on a sample            one, a function of the times, or of the residual itself

`METHODS` holds the choices, `loss` computes the loss that they describe, `times.draw` the times. A method is
data: to compose a new one, `dataclasses.replace` another and give it to `fit`. How x0 and x1 are paired is a choice of
its own, `Training.coupling`: rectified flow is the row fm with coupling "reflow".

Time here runs from noise at 0 to data at 1. Many sources run it the other way; each row says how its
source's symbols translate. Throughout, tau = 1 - t is such a source's time, sigma the standard
deviation of the base and rho_s^2 = s^2 + (1-s)^2.
"""

from flowmap_edu._method import WEIGHTS, Method, loss
from flowmap_edu.times import LEVELS

__all__ = ["METHODS", "WEIGHTS", "Method", "loss"]


def __dir__() -> list[str]:
    return sorted(__all__)


REVERSED = "1 is noise there: tau = 1 - t"
SAME = "as here: 0 is noise"
BOFFI25 = "Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825"
BOFFI24 = "Boffi, Albergo & Vanden-Eijnden 2024, arXiv 2406.07507"
SONG = "Song, Dhariwal, Chen & Sutskever 2023, arXiv 2303.01469"
LU = "Lu & Song 2024, arXiv 2410.11081"
GENG24 = "Geng, Pokle, Luo, Lin & Kolter 2024, arXiv 2406.14548"
SABOUR = "Sabour, Fidler & Kreis 2025, arXiv 2506.14603"
VE = "x_tau = x1 + tau z, with tau = sigma (1-s)/s: data at 0, noise at infinity"
TRIG = "tau in [0, pi/2], noise at pi/2: x_tau = cos(tau) x1 + sin(tau) z, tan(tau) = (1-s)/s"
F_VE = "f(x_tau, tau) = X_{s,1}(s x_tau)"
F_TRIG = "f(x_tau, tau) = X_{s,1}(rho_s x_tau) = cos(tau) x_tau - sin(tau) sigma F(x_tau/sigma, tau)"

METHODS = {
    "fm": Method(
        "flow matching", "diagonal", diagonal=1.0, source="Lipman et al. 2023; Albergo & Vanden-Eijnden 2023",
        their_time=SAME, substitution="v_t(x) = v_{t,t}(x)", departs="no jumps: sampled by Euler's method",
    ),
    "lsd": Method(
        "Lagrangian self-distillation", "lagrangian", source=BOFFI25, their_time=SAME, substitution="none needed",
    ),
    "tvm": Method(
        "terminal velocity matching", "lagrangian", velocity="average", diagonal=0.5,
        source="Zhou, Parger, Haque & Song 2025, arXiv 2511.19797", their_time=REVERSED,
        substitution="f(x, tau, r) = (r - tau) F(x, tau, r) = X_{s,t}(x) - x with F = -v_{s,t}, r = 1 - t",
        departs="guidance, its weight and its scaled network left out; uniform pairs, where the source draws the gap"
        " tau - r logit-normal; the average of the recipe, where the source's has the decay 0.99",
    ),
    "fmm": Method(
        "flow map matching", "lagrangian", velocity="sample", stopgrad="none", times="square", diagonal=0.0,
        source=BOFFI24, their_time=SAME, substitution="their X_{s,t}(X_{t,s}(I_t)) is X_{t,s}(X_{s,t}(I_s)) here",
        departs="the source's public code has the first of the two terms alone; it can draw the pairs near the diagonal"
        " first",
    ),
    "esd": Method(
        "Eulerian self-distillation", "eulerian", stopgrad="full", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs='the recipe trains it with the stop-gradient "convex"; see losses.eulerian',
    ),
    "psd-m": Method(
        "progressive self-distillation, midpoint", "semigroup", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs="the source's page squares the residual of X: that has the weight (t-s)^2",
    ),
    "psd-u": Method(
        "progressive self-distillation, uniform", "semigroup", middle="uniform", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs="as psd-m",
    ),
    "lmd": Method(
        "Lagrangian map distillation", "lagrangian", velocity="teacher", stopgrad="none", diagonal=0.0, stages=1,
        source=BOFFI24, their_time=SAME, substitution="none needed",
    ),
    "freeflow": Method(
        "FreeFlow, its prediction part", "lagrangian", velocity="teacher", stopgrad="semi", times="from zero",
        diagonal=0.0, stages=1, source="Tong, Ma, Xie & Jaakkola 2025, arXiv 2511.19428", their_time=REVERSED,
        substitution="F(z, delta) = v_{0,delta}(z) and f(z, delta) = z + delta F = X_{0,delta}(z), read as velocities"
        " towards the data; u(x, 1 - delta) = b_delta(x) of the teacher",
        departs="the source's code could not be read: the objective is that of two descriptions of it, its weight and"
        " times unknown; the correction part, which compares distributions by a second network, is left out",
    ),
    "emd": Method(
        "Eulerian map distillation", "eulerian", velocity="teacher", stopgrad="none", diagonal=0.0, stages=1,
        source=BOFFI24, their_time=SAME, substitution="none needed",
    ),
    "ct": Method(
        "consistency training, continuous time", "eulerian", velocity="sample", stopgrad="semi", times="to one",
        weight="jump", diagonal=0.0, source=SONG, their_time=VE, substitution=F_VE,
        departs="the source's objective f . df/dtau is this one times s^2 / (2 sigma); times are uniform in s here",
    ),
    "sct": Method(
        "sCT: consistency training with a normalised, ramped tangent", "eulerian", velocity="sample", stopgrad="semi",
        times="to one", weight="tangent", tangent_warmup=0.1, diagonal=0.0, source=LU, their_time=TRIG,
        substitution=F_TRIG,
        departs="the source's regression on F has the weight s rho_s^2 / sigma, a learned weight and its own density"
        " of times; its ramp splits the tangent in cos(tau) x - sin(tau) F, ours in x + (1-s) v",
    ),
    "facm": Method(
        "flow-anchored consistency model", "eulerian", velocity="sample", stopgrad="semi", times="to one",
        weight="anchored", diagonal=0.5, source="Peng et al. 2025, arXiv 2507.03738", their_time=SAME,
        substitution="F(x, t, r) = v_{t,r}(x): r = t for flow matching, the anchor, and r = 1 for the shortcut; its"
        " target F^- - a g has the weight cos(pi t / 2), with a = 1 - sqrt(t)",
        departs="the source also cuts the entries of g to [-1, 1] and adds 1 - cos of the angle to flow matching; its"
        " means over entries are sums here; its run distils a guided teacher (velocity='teacher') and draws its own"
        " times",
    ),
    "ct-discrete": Method(
        "consistency training, discrete time", "semigroup", velocity="sample", times="grid", middle="next",
        weight="discrete", diagonal=0.0, source=SONG, their_time=VE,
        substitution=F_VE + "; the later point is x_s + (u-s) dI_s = I_u",
        departs="the source's squared distance is this one times u - s; 64 equal steps in s throughout,"
        " where the source refines its grid as training goes on (the row ect does)",
    ),
    "ect": Method(
        "easy consistency tuning", "semigroup", velocity="sample", times="to one", middle="stages",
        weight="slope in tau", tangent_warmup=1.0, diagonal=0.0, source=GENG24, their_time=VE,
        substitution=F_VE + "; the later point is x_s + (u-s) dI_s = I_u",
        departs="starts from random weights, where the source starts from a diffusion model; times as in the recipe,"
        " where it draws tau log-normal; no dropout; the rule for tau_u is its code's default",
    ),
    "consistency-fm": Method(
        "consistency flow matching in two segments", "semigroup", velocity="sample", times="segments", middle="next",
        weight="landing", diagonal=0.0, source="Yang et al. 2024, arXiv 2407.02398", their_time=SAME,
        substitution="v(x, t) = v_{t,e}(x) and f(x, t) = x + (e - t) v(x, t) = X_{t,e}(x), e the end of t's segment",
        departs="the source's second term, 0.00001 |v(I_s, s) - v^-(I_u, u)|^2, is left out; in the last 0.001 of the"
        " first segment its target is of the next one, here the segment's end; settings of its CIFAR-10 run",
    ),
    "cd": Method(
        "consistency distillation, continuous time", "eulerian", velocity="teacher", stopgrad="semi", times="to one",
        weight="jump", diagonal=0.0, stages=1, source=SONG, their_time=VE, substitution=F_VE, departs="as ct",
    ),
    "scd": Method(
        "sCD: consistency distillation with a normalised, ramped tangent", "eulerian", velocity="teacher",
        stopgrad="semi", times="to one", weight="tangent", tangent_warmup=0.1, diagonal=0.0, stages=1, source=LU,
        their_time=TRIG, substitution=F_TRIG, departs="as sct",
    ),
    "cd-discrete": Method(
        "consistency distillation, discrete time", "semigroup", velocity="teacher", times="grid", middle="next",
        weight="discrete", diagonal=0.0, stages=1, source=SONG, their_time=VE,
        substitution=F_VE + "; the source's Euler step in tau is ours in s", departs="as ct-discrete; one Euler step",
    ),
    "cmt": Method(
        "consistency mid-training", "semigroup", velocity="teacher", times="grid", middle="next", points="trajectory",
        weight="landing", diagonal=0.0, stages=1, source="Hu, Lai, Mitsufuji & Ermon 2025, arXiv 2509.24526",
        their_time=VE, substitution=F_VE + "; x_tau lies on the teacher's trajectory from pure noise",
        departs="the code's squared distance, which by default is a perceptual one; 64 steps of a second-order solver,"
        " equal in s, where the source takes 16 of its own; trajectories from a pool; the stage before and the one"
        " after, another method, are left out",
    ),
    "shortcut": Method(
        "shortcut model", "semigroup", times="dyadic", short="average", diagonal=0.75,
        source="Frans, Hafner, Levine & Abbeel 2024, arXiv 2410.12557", their_time=SAME,
        substitution="s(x, t, d) = v_{t,t+d}(x); the step 2d of two steps d; s(x, t, 0) = v_{t,t}(x)",
        departs="short jumps by the moving average, as in the source's code; those of 1/128 read the diagonal",
    ),
    "ctm": Method(
        "consistency trajectory model, learned from itself", "semigroup", middle="uniform", short="average",
        compared="to one", diagonal=0.5, source="Kim, Lai, Liao et al. 2023, arXiv 2310.02279", their_time=VE,
        substitution="G(x_tau, tau, sigma) = (sigma/tau) x_tau + (1 - sigma/tau) g = X_{s,t}(s x_tau)/t, g = I_s +"
        " (1-s) v_{s,t}(I_s); G to time 0 is X_{.,1}; the solver is G^-, as the code's self_learn has it",
        departs="the source's main run makes the first short jump by a teacher's Heun steps (velocity='teacher' makes"
        " one Euler step); its target's jump to t is the pupil's own, held, ours the average's; its perceptual"
        " distance, the weight of its denoising part and its discriminator are left out; times uniform here",
    ),
    "pd": Method(
        "progressive distillation", "semigroup", times="dyadic", short="teacher", weight="truncated snr", diagonal=0.25,
        stages=LEVELS, source="Salimans & Ho 2022, arXiv 2202.00512", their_time=REVERSED,
        substitution="one DDIM step is one jump; x_hat = x + (1-s) v_{s,t}(x); the truncated-SNR loss on x_hat has the"
        " weight max(s^2, (1-s)^2) on v: max(SNR, 1) with SNR = s^2/(1-s)^2, times the (1-s)^2 of x_hat's error",
        departs="one network for all jumps, so each stage repeats the shorter ones and a quarter of the batch is flow"
        " matching; the source has a network a stage",
    ),
    "ayf-emd": Method(
        "Align Your Flow, Eulerian", "eulerian", velocity="teacher", stopgrad="semi", weight="tangent",
        tangent_warmup=0.1,
        diagonal=0.0, stages=1, source=SABOUR, their_time=REVERSED,
        substitution="f(x, tau, sigma) = x + (sigma - tau) F = X_{s,t}(x) with F = -v",
        departs="the theorem's objective is linear in f: this one times (t-s) w' / 2; its autoguidance,"
        " adversarial stage and largest ramp of 0.99 are left out",
    ),
    "ayf-lmd": Method(
        "Align Your Flow, Lagrangian", "lagrangian", velocity="teacher", stopgrad="semi", diagonal=0.0, stages=1,
        source=SABOUR, their_time=REVERSED, substitution="as ayf-emd", departs="as ayf-emd, without tangent or ramp",
    ),
    "meanflow": Method(
        "mean flow", "eulerian", velocity="sample", stopgrad="semi", weight="adaptive", diagonal=0.75,
        source="Geng, Deng, Bai, Kolter & He 2025, arXiv 2505.13447", their_time=REVERSED,
        substitution="u(z, r, tau) = -v_{s,t}(z), tau = 1 - s, r = 1 - t, v = eps - x = -dI_s",
        departs="times uniform here, logit-normal there",
    ),
    "imf": Method(
        "improved mean flow", "eulerian", velocity="self", stopgrad="semi", first_term="sample", weight="adaptive",
        diagonal=0.75, source="Geng, Lu, Wu, Shechtman, Kolter & He 2025, arXiv 2512.02012", their_time=REVERSED,
        substitution="as meanflow; the pushed velocity is the network's own, u(z, tau, tau)",
        departs="guidance left out",
    ),
    "tim": Method(
        "transition model", "eulerian", velocity="sample", stopgrad="semi", weight="transition", difference=0.005,
        diagonal=0.5, source="Wang et al. 2025, arXiv 2509.04394", their_time=REVERSED, substitution="as meanflow",
        departs="the linear path and the weight of its ImageNet run, which has a tenth of the pairs at t = 1 (at_one);"
        " its means over entries are sums here, its times logit-normal, its alignment with another network's features"
        " left out; at the ends of time the difference is one-sided here",
    ),
    "alphaflow": Method(
        "alpha-flow", "semigroup", velocity="sample", middle="sigmoid", weight="bridge", tangent_warmup=1.0,
        diagonal=0.5, source="Zhang et al. 2025, arXiv 2510.20771", their_time=REVERSED,
        substitution="as meanflow; alpha = (u-s)/(t-s): at 1 the target is dI_s, at 0 mean flow's",
        departs="alpha stays at 0.005, where the source goes over to mean flow's derivative; its means over entries are"
        " sums here, its times logit-normal, its guidance and the clipping of the target left out; the code's 1e-3 in"
        " the weight was read in a copy of it",
    ),
    "soflow": Method(
        "solution flow model", "semigroup", velocity="sample", middle="exponential", weight="quotient",
        tangent_warmup=1.0, diagonal=0.75, source="Luo, Yuan & Liu 2025, arXiv 2512.15657", their_time=REVERSED,
        substitution="f(x, tau, r) = x + (r - tau) F(x, tau, r) = X_{s,t}(x), F = -v_{s,t}; the residual over alpha is"
        " the difference quotient of f in its weight",
        departs="the source's objective is linear in F: half of this one; settings of its ImageNet run; its means over"
        " entries are sums here, its times logit-normal, guidance left out",
    ),
    "split-meanflow": Method(
        "split mean flow", "semigroup", middle="uniform", diagonal=0.75,
        source="Guo et al. 2025, arXiv 2507.16884", their_time=REVERSED,
        substitution="(tau-r) u(z_tau,r,tau) = (q-r) u(z_q,r,q) + (tau-q) u(z_tau,q,tau), free q: that is psd-u",
        departs="trained without a teacher here",
    ),
}  # fmt: skip
