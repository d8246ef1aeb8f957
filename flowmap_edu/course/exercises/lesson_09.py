"""The exercises of lesson 09: the learning rate, hours, memory, a batch in parts, relative errors."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points


def parts(batch: int, diagonal: float, sample: float, fixed: float, memory: float, *, both: bool = True) -> int:
    """The smallest divisor of the diagonal part (and of the rest) whose part fits."""
    on = round(batch * diagonal)
    divisors = [k for k in range(1, batch + 1) if not on % k and (not both or not (batch - on) % k)]
    return next(k for k in divisors if fixed + sample * batch / k <= memory)


def least_parts(batch: int, sample: float, room: float) -> int:
    """The smallest number of parts that fit, whether or not it divides the batch."""
    return next(k for k in range(1, batch + 1) if sample * batch / k <= room)


def gpus() -> list[tuple[int, float, float, float, float]]:
    """(batch, diagonal, sample, fixed, memory)."""
    return [(120, 0.6, 1.0, 2.0, 11.6), (512, 0.75, 0.147, 1.31, 24.0)]


def weights() -> list[Tensor]:
    """Two parameters of a small model."""
    return [points(3, 2, 5).requires_grad_(), points(3, 1, 6)[:, 0].requires_grad_()]


def batches() -> list[tuple[Callable[[Tensor], Tensor], Tensor, list[Tensor], int]]:
    """(loss, x, parameters, K): a squared network of twelve points in four parts."""
    matrix, bias = weights()

    def loss(x: Tensor) -> Tensor:
        return torch.tanh(x @ matrix.T + bias).sum(1).square()

    return [(loss, points(12, 2, 7), [matrix, bias], 4)]


def gradient(
    loss: Callable[[Tensor], Tensor], x: Tensor, parameters: list[Tensor], factor: float = 1.0
) -> list[Tensor]:
    """The gradient of factor times the mean loss, at once."""
    return list(torch.autograd.grad(factor * loss(x).mean(), parameters))


EXERCISES = {
    "09.1": Exercise(
        asks="the learning rate at step k, a number",
        shown="It is constant at first, and halves whenever the number of steps grows fourfold.",
        right=lambda k, lr, k0: lr if k <= k0 else lr / (k / k0) ** 0.5,
        cases=lambda: [(50, 0.01, 200), (500, 0.01, 200), (3000, 0.02, 200)],
        mistakes={
            "The rate rises above lr before k0. There it is constant.": lambda k, lr, k0: lr * (k0 / k) ** 0.5,
            "It falls as 1 / k. A square root is missing.": lambda k, lr, k0: lr * min(1.0, k0 / k),
            "It is upside down: the rate grows.": lambda k, lr, k0: lr * max(1.0, (k / k0) ** 0.5),
            "The factor lr is missing.": lambda k, _, k0: min(1.0, (k0 / k) ** 0.5),
        },
    ),
    "09.2": Exercise(
        asks="the passes of a training sample, on average over the batch",
        shown="Flow matching alone would cost three quarters of that.",
        right=4.0,
        tolerance=1e-3,
        mistakes={
            "The two shares are swapped: three quarters of a batch are on the diagonal.": 0.25 * 3 + 0.75 * 7,
            "Both have the same weight here. The shares are 3/4 and 1/4.": 5.0,
            "This is the sum. An average over the batch is wanted.": 10.0,
            "This is the cost in units of flow matching, not in passes.": 4 / 3,
        },
    ),
    "09.3": Exercise(
        asks="the hours of a run, a number",
        shown="Four numbers are multiplied, and the speed is the one that is assumed.",
        right=lambda samples, passes, operations, speed: samples * operations * passes / (3600 * speed),
        cases=lambda: [(2e6, 4.0, 3e9, 1e13)],
        mistakes={
            "These are seconds. Hours are wanted.": lambda n, p, o, v: n * p * o / v,
            "These are minutes. Hours are wanted.": lambda n, p, o, v: n * p * o / v / 60,
            "The passes are missing.": lambda n, p, o, v: n * o / v / 3600 + 0 * p,
            "Operations are multiplied by the speed. Divide by it.": lambda n, p, o, v: n * p * o * v / 3600,
        },
    ),
    "09.4": Exercise(
        asks="the smallest number of parts that divides both parts of the batch and fits, a whole number",
        shown="Memory limits the samples at a time; the batch of a step stays the same.",
        right=parts,
        cases=gpus,
        mistakes={
            "The parts need not divide the batch here. Both its parts have to be cut equally.": (
                lambda b, _, sample, fixed, memory: least_parts(b, sample, memory - fixed)
            ),
            "Only the diagonal part is divided. The rest has to be cut equally, too.": lambda *a: parts(*a, both=False),
            "The fixed memory is left out.": lambda b, d, sample, _, memory: parts(b, d, sample, 0.0, memory),
            "The largest number of parts is returned. The smallest that fits is wanted.": lambda b, d, *_: max(
                k for k in range(1, b + 1) if not round(b * d) % k and not (b - round(b * d)) % k
            ),
        },
    ),
    "09.5": Exercise(
        asks="the gradient of the mean loss in K parts, a list of tensors",
        shown="A mean over equal parts is the mean of their means, and so are the gradients.",
        right=lambda loss, x, parameters, _: gradient(loss, x, parameters),
        cases=batches,
        mistakes={
            "The parts' gradients are added without dividing by K.": lambda loss, x, p, K: gradient(
                loss, x, p, float(K)
            ),
            "Only the last part is returned. The sum over all is wanted.": lambda loss, x, p, K: gradient(
                loss, x[K - 1 :: K], p, 1 / K
            ),
            "The losses of a part are summed. Their mean is wanted.": lambda loss, x, p, K: gradient(
                loss, x, p, len(x) / K
            ),
            "Only the first part is returned.": lambda loss, x, p, K: gradient(loss, x[::K], p),
        },
    ),
    "09.6": Exercise(
        asks="the relative distance of a from b, a number",
        shown="A relative error says how many digits are left.",
        right=lambda a, b: torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b),
        cases=lambda: [(points(5, 4, 1), points(5, 4, 2))],
        mistakes={
            "It is divided by the norm of a. b is the reference.": lambda a, b: (a - b).norm() / a.norm(),
            "It is not divided by anything.": lambda a, b: (a - b).norm(),
            "The relative errors of the single entries are averaged.": lambda a, b: ((a - b) / b).abs().mean(),
            "This is the square.": lambda a, b: (a - b).square().sum() / b.square().sum(),
        },
    ),
    "09.7": Exercise(
        asks="a whole number of parts",
        shown="Larger pictures need more memory a sample, and more parts.",
        right=8,
        mistakes={
            "With so few parts one part does not fit into 40 GB.": 4,
            "Fewer parts would fit, too. The smallest number is wanted.": 16,
            "This is the number of samples that fit.": 123,
            "This is the number of samples in a part.": 64,
        },
    ),
}
