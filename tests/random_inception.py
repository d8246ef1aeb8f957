"""FID's network with random weights, in the published file's format: `python tests/random_inception.py FILE`."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn


def random_inception(path: Path) -> nn.Module:
    """torch-fidelity's network with random weights; they are written to the file as well."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        net = theirs.FeatureExtractorInceptionV3("random", ["2048"]).eval()
        for name, p in net.named_parameters():
            if name.endswith("conv.weight"):
                nn.init.kaiming_normal_(p)  # keeps the features of magnitude 1
    torch.save(net.state_dict(), path)
    return net


if __name__ == "__main__":
    random_inception(Path(sys.argv[1]))
