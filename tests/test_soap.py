"""SOAP: the updates of an independent implementation, Adam in the eigenbasis by hand, and what it is for."""

import copy

import pytest
import torch
from torch import nn

from flowmap_edu.training.soap import SOAP

pytestmark = pytest.mark.usefixtures("float64")


def network() -> nn.Module:
    """Square weights, two of one shape, and a wide one: their statistics have no null space after a few steps."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 5))


def gradients(net: nn.Module, seed: int) -> None:
    """Gradients of a scale that differs from entry to entry, a full-rank batch of them."""
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        scale = torch.linspace(0.2, 3, p.numel()).view(p.shape)
        p.grad = scale * torch.randn(p.shape, generator=generator)


def test_its_updates_are_those_of_the_published_implementation():
    """pytorch_optimizer's SOAP, which multiplies weight by weight: the same weights after 60 steps, six renewals.

    Equal up to the eigenvectors of what has no gradient yet, which are arbitrary: so all statistics here start full.
    """
    library = pytest.importorskip("pytorch_optimizer")
    net = nn.Sequential(*(nn.Linear(6, 6) for _ in range(3)))
    other = copy.deepcopy(net)
    ours = SOAP(net.parameters(), 3e-3)
    theirs = library.SOAP(other.parameters(), 3e-3, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=10)
    start = [p.detach().clone() for p in net.parameters()]
    for k in range(60):
        gradients(net, k)
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            q.grad = p.grad.clone()
        ours.step()
        theirs.step()
    for p, q, first in zip(net.parameters(), other.parameters(), start, strict=True):
        assert (p - first).abs().max() > 1e-2
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_vectors_are_moved_by_adam():
    """From the second step on, a bias moves as under torch's Adam with the same betas."""
    net, lr = nn.Linear(3, 4), 1e-2
    ours = SOAP(net.parameters(), lr, betas=(0.9, 0.99))
    bias = net.bias.detach().clone().requires_grad_()
    adam = torch.optim.Adam([bias], lr, betas=(0.9, 0.99), eps=1e-300)
    for k in range(20):
        gradients(net, k)
        if k:
            bias.grad = net.bias.grad.clone()
            adam.step()
        ours.step()
    torch.testing.assert_close(net.bias, bias, rtol=0, atol=1e-7)


def test_its_bases_stay_orthonormal_and_tend_to_the_eigenvectors():
    """With gradients of one distribution Q_L^T L Q_L tends to a diagonal matrix, by falling entries, in every layer."""
    net = network()
    ours = SOAP(net.parameters(), 1e-3, betas=(0.95, 0.999), renewed=5)
    for k in range(1500):
        gradients(net, k)
        ours.step()
    state = ours.state[net[0].weight]
    assert state["L"].shape == (2, 6, 6)  # both hidden layers in one stack
    for side in "LR":
        Q = state[f"Q_{side}"]
        torch.testing.assert_close(Q.mT @ Q, torch.eye(6).expand(2, 6, 6), rtol=0, atol=1e-12)
        turned = Q.mT @ state[side] @ Q
        values = turned.diagonal(dim1=1, dim2=2)
        assert (values.diff(dim=1) < 0).all()
        assert (turned - torch.diag_embed(values)).abs().max() < 0.02 * values.max()


def test_a_direction_that_adam_is_slow_in():
    """|W A - B|^2 with A turned and badly scaled: far lower than Adam after the same steps at the same rate."""
    generator = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator))[0]
    A, B = turn * torch.logspace(0, -2, 6), torch.randn(6, 6, generator=generator)
    left = {}
    for name, make in {"soap": lambda p: SOAP(p, 0.03), "adam": lambda p: torch.optim.Adam(p, 0.03)}.items():
        W = nn.Parameter(torch.zeros(6, 6))
        optimizer = make([W])
        for _ in range(800):
            optimizer.zero_grad()
            loss = ((W @ turn @ A.T) - B @ A.T).square().sum()
            loss.backward()
            optimizer.step()
        left[name] = float(loss.detach())
    assert left["soap"] < left["adam"] / 3


def test_its_state_is_saved_and_restored():
    """After load_state_dict a copy goes on to the same weights, to the bit."""
    net = network()
    ours = SOAP(net.parameters(), 1e-2)
    for k in range(13):
        gradients(net, k)
        ours.step()
    other = copy.deepcopy(net)
    again = SOAP(other.parameters(), 1e-2)
    again.load_state_dict(copy.deepcopy(ours.state_dict()))
    for k in range(13, 30):
        for net_, optimizer in ((net, ours), (other, again)):
            gradients(net_, k)
            optimizer.step()
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
