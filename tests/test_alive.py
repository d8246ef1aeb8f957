"""What a computation costs, counted: exact where it can be counted by hand."""

import torch

from flowmap_edu import MLP, FlowMap
from flowmap_edu.bench import alive


def test_the_products_of_a_layer_and_of_its_gradient():
    """2 B n m for z W^T; the gradient in W is one more product of that size, and that in z a third."""
    layer, z = torch.nn.Linear(8, 16, bias=False), torch.randn(10, 8, requires_grad=True)
    one = 2 * 10 * 8 * 16
    assert alive.products(lambda: layer(z)) == one
    assert alive.products(lambda: layer(z).sum().backward()) == 3 * one


def test_a_derivative_by_forward_mode_costs_a_second_pass():
    """Of the library's network: one product for the value, one for the derivative, in each layer."""
    X, t, x = FlowMap(MLP(2, hidden=64, layers=3)), torch.rand(10), torch.randn(10, 2)
    ratio = alive.products(lambda: X.partial_t(0.0, t, x)) / alive.products(lambda: X.v(0.0, t, x))
    assert 1.95 < ratio <= 2


def test_bytes_are_counted_while_they_are_alive():
    """Two tensors at once count together; one after the other, the larger counts."""

    def one_after_the_other():
        for n in (100, 300, 200):
            torch.zeros(n).add_(1)

    assert alive.peak_bytes(lambda: (torch.zeros(100), torch.zeros(50))) == 600
    assert alive.peak_bytes(one_after_the_other) == 1200
    assert alive.peak_bytes(lambda: torch.zeros(100)[:10].view(2, 5)) == 400  # a view allocates nothing
