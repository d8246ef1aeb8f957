"""What is to be learned: exact flows, data of your own, data sets of images."""

from flowmap_edu.problems import equations
from flowmap_edu.problems.arrays import FromDataset, FromTensor, from_file
from flowmap_edu.problems.checkerboard import Checkerboard
from flowmap_edu.problems.gaussian import Gaussian
from flowmap_edu.problems.image_sets import AFHQ64, CelebA64, Cifar10, Digits, Emoji
from flowmap_edu.problems.images import Images
from flowmap_edu.problems.mixture import GaussianMixture, two_modes
from flowmap_edu.problems.mnist import Mnist
from flowmap_edu.problems.problem import Problem
from flowmap_edu.problems.tilted import Tilted

__all__ = [
    "AFHQ64",
    "CelebA64",
    "Checkerboard",
    "Cifar10",
    "Digits",
    "Emoji",
    "FromDataset",
    "FromTensor",
    "Gaussian",
    "GaussianMixture",
    "Images",
    "Mnist",
    "Problem",
    "Tilted",
    "equations",
    "from_file",
    "two_modes",
]


def __dir__() -> list[str]:
    return sorted(__all__)
