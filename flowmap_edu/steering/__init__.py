"""Steer a map by a reward r: draws from q(x) exp(r(x)) / Z, where q is what the map draws from.

Guidance changes the velocity, `weighed` weighs the samples of one jump, `tempered` moves the noise of one jump,
`restarted` goes back and forward, `filled` fills in what is hidden.
"""

from flowmap_edu.steering.editing import Seen, between, filled
from flowmap_edu.steering.guidance import Denoiser, Exact, Guided, Landing, guided_velocity
from flowmap_edu.steering.restarting import Restarted, forward, go_back, restarted
from flowmap_edu.steering.tempering import Tempered, tempered
from flowmap_edu.steering.weighing import Weighed, weighed

__all__ = [
    "Denoiser",
    "Exact",
    "Guided",
    "Landing",
    "Restarted",
    "Seen",
    "Tempered",
    "Weighed",
    "between",
    "filled",
    "forward",
    "go_back",
    "guided_velocity",
    "restarted",
    "tempered",
    "weighed",
]


def __dir__() -> list[str]:
    return sorted(__all__)
