"""The network whose features FID compares: Inception v3 with its published weights, from a file or fetched once.

It is torch-fidelity's, computed as FID's authors did. Its weights are read as tensors alone.
"""

import hashlib
import io
import warnings
from pathlib import Path

import filelock
import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.metrics.images import as_bytes

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Inception(nn.Module):
    """The Inception network as FID uses it: images (B, 3, H, W) in [-1, 1] -> features (B, 2048).

    The network wants bytes, and itself makes them 299 x 299 with TensorFlow's old bilinear rule, as published.
    """

    num_features = 2048

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """The features, float32 of shape (B, 2048).

        Raises:
            ValueError: if x is not floating-point of shape (B, 3, H, W), or has values outside [-1, 1].
        """
        checks.images("images", x)
        if x.shape[1] != 3:
            raise ValueError(f"images must be floating-point of shape (B, 3, H, W), got {checks.kind(x)}")
        return torch.cat([self.network(part)[0] for part in as_bytes(x).split(50)])  # 250 at once take some GB


def inception(weights: str | Path | None = None) -> Inception:
    """The Inception network of FID, from a file, or from torch-fidelity's release, which is fetched once.

    The file is read as tensors alone: no code in it is run. One of the right shapes that is not the published one
    is taken with a warning, since its distances are not FID.

    Args:
        weights: the published file, weights-inception-2015-12-05-6726825d.pth, or one in its format.

    Raises:
        ValueError: if the file is missing, damaged or of another network; without one, if it cannot be fetched.
        ImportError: if torch-fidelity is not installed.

    Source: Szegedy et al. 2015 (the network); Obukhov et al. 2020, torch-fidelity (its weights for PyTorch).
    """
    path = fetched_inception() if weights is None else Path(weights).expanduser()
    wanted = f"wanted are the weights of FID's Inception network: {INCEPTION_URL}"
    try:
        content = path.read_bytes()
        held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ValueError(f"{path} is missing, damaged or not made of tensors alone ({error}); {wanted}") from error
    if (found := hashlib.sha256(content).hexdigest()) != INCEPTION_SHA256:
        warnings.warn(
            f"{path} is not the published file: its sha256 begins {found[:8]}, not {INCEPTION_SHA256[:8]}, so what is "
            "computed with it is not FID",
            stacklevel=2,
        )
    extractor = checks.extra("torch_fidelity.feature_extractor_inceptionv3", "images").FeatureExtractorInceptionV3
    torch.save(held, copy := io.BytesIO())  # torch-fidelity unpickles whatever it gets: it gets what we have written
    copy.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):
            return Inception(extractor("inception-v3-compat", ["2048"], copy)).eval()
    except (AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} holds another network ({str(error)[:300]}); {wanted}") from error


def fetched_inception() -> Path:
    """Where torch.hub keeps the published weights, fetched if they are not there yet.

    Of several processes that come at once, the first fetches them and the others wait.

    Raises:
        ValueError: if they do not arrive, or not as published.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_URL.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            if not path.is_file():  # unless another process has fetched it meanwhile
                torch.hub.download_url_to_file(INCEPTION_URL, str(path), hash_prefix=INCEPTION_SHA256)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights of FID's Inception network did not arrive ({error}); fetch {INCEPTION_URL} where there "
            f"is a network, and give the file as weights=, or put it at {path}"
        ) from error
    return path
