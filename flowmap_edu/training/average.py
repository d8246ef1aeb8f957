"""The moving average of a network's weights, which is what a trained map is."""

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average(nn.Module):
    """The exponential moving average a <- d a + (1 - d) w of the weights w, without dropout.

    d rises as (1 + k) / (10 + k) with the k weights taken so far, up to `decay`: a short run forgets its first
    weights. The first weights are copied. Other tensors of the network, such as its frequencies, are copied each time.

    Args:
        net: the network.
        decay: the largest d.

    Attributes:
        module: the network with the averaged weights.
        n_averaged: how many weights were taken.
    """

    n_averaged: Tensor

    def __init__(self, net: nn.Module, decay: float):
        super().__init__()
        self.module, self.decay = copy.deepcopy(net).requires_grad_(False), decay
        self.register_buffer("n_averaged", torch.tensor(0))
        # looked up once: a walk through the modules at every step takes as long as the average itself
        self.weights: tuple[list[Tensor], list[Tensor]] = ([*self.module.parameters()], [*net.parameters()])
        self.others = list(zip(self.module.buffers(), net.buffers(), strict=True))
        self.eval()

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's present weights into the average."""
        k = int(self.n_averaged)
        d = min(self.decay, (1 + k) / (10 + k)) if k else 0.0
        get_ema_multi_avg_fn(d)(*self.weights, self.n_averaged)  # all tensors in one call
        for a, w in self.others:
            a.copy_(w)
        self.n_averaged += 1
