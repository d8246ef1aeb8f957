"""Networks v(s, t, x): an MLP for points; a U-Net and an MLP with residuals for images; the loss's learned weight."""

from flowmap_edu._reference import recorded
from flowmap_edu.nets.mlp import MLP
from flowmap_edu.nets.residual import ResidualMLP
from flowmap_edu.nets.unet import UNet
from flowmap_edu.nets.weight import LogWeight

__all__ = ["MLP", "LogWeight", "ResidualMLP", "UNet", "recorded"]


def __dir__() -> list[str]:
    return sorted(__all__)
