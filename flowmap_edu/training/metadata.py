"""A run's config.json, format 2: problem and network as importable names and arguments, method and training whole.

    {"format": 2, "steps_done": 34000, "steps": 34000, "cpu_seconds": 491.1, "teacher": null,
     "files": {"map.safetensors": <SHA-256>, ...}, "made_with": {"threads": 1, "torch": "2.14.1", ...},
     "before": {"steps_done": 33800, "files": {"checkpoint-before.pt": <SHA-256>}},
     "problem": {"import": "flowmap_edu.problems:Checkerboard", "arguments": {}},
     "shape": [2], "sigma": 0.577, "classes": 0,
     "network": {"import": "flowmap_edu.nets:MLP", "arguments": {"dim": 2, ...}},
     "method": {"title": ..., "condition": ..., ...}, "training": {"steps": 34000, "batch": 384, ...}}

Format 1 is read as well: format1.py translates it.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu.interpolant import Interpolant
from flowmap_edu.methods import Method
from flowmap_edu.nets.unet import renamed_keys
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import files, format1
from flowmap_edu.training.training import Training

FORMAT = 2
CHECKPOINT, BEFORE = "checkpoint.pt", "checkpoint-before.pt"
KEPT = {CHECKPOINT: BEFORE}  # a save moves the checkpoint that was there to this name
DEFAULTS = {f.name: f.default for f in dataclasses.fields(Training)}  # what an older document lacks had its default
# settings that a run may go on with changed: they alter how long and how fast it learns, not what it learns
CHANGEABLE = ("steps", "minutes", "lr", "clip", "shares", "accumulate", "precision", "tf32", "channels_last", "compile")
PARTED = ("flowmap_edu.problems:Digits", "flowmap_edu.problems:Emoji")
OURS = "flowmap_edu.nets:"  # networks whose size is checked before they are made


@dataclass(frozen=True)
class RunInfo:
    """What a run's folder says of it.

    Attributes:
        folder: where it lies.
        header: the whole of config.json: steps_done, steps, cpu_seconds, teacher and the rest.
        method, training: as they were.
        shape, sigma, classes: of the problem, known without making it.
    """

    folder: Path
    header: dict[str, Any]
    method: Method
    training: Training

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.header["shape"])

    @property
    def sigma(self) -> float:
        """Standard deviation of the base."""
        return self.header["sigma"]

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 without labels."""
        return self.header["classes"]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file that was written with this config.json; empty for runs of older versions."""
        return self.header.get("files") or {}

    @property
    def kept(self) -> dict[str, str]:
        """The SHA-256 of the checkpoint before, by its name; empty where there was none."""
        return (self.header.get("before") or {}).get("files") or {}

    @property
    def document(self) -> dict[str, Any]:
        """The four objects as config.json says them."""
        said = {"problem": self.header["problem"], "network": self.header["network"]}
        return said | {"method": settings(self.method), "training": settings(self.training)}

    def tensors(self) -> dict[str, Tensor]:
        """The arrays among the problem's arguments.

        Raises:
            ValueError: if their file is damaged.
        """
        content = files.read(self.folder, "tensors.safetensors", self.digests)
        if content is None and "tensors.safetensors" not in self.digests:
            return {}
        try:
            return load_tensors(content or b"")
        except SafetensorError as error:
            raise ValueError(f"{self.folder / 'tensors.safetensors'} is missing or damaged: {error}") from error

    def problem(self) -> Problem:
        """The problem, made anew.

        Raises:
            ValueError: if its module is gone, or the folder cannot say how it is made.
        """
        return self.made("problem", Problem)

    def network(self) -> nn.Module:
        """The network, made anew, with weights that mean nothing yet; torch's global generator stays where it is.

        Raises:
            ValueError: if its module is gone, the folder cannot say how it is made, or the map is of another network.
        """
        with torch.random.fork_rng(devices=[]):
            if self.header["network"]["import"].startswith(OURS):
                self.fits(self.map_shapes())
            return self.made("network", nn.Module)

    def map_shapes(self) -> dict[str, list[int]]:
        """The shapes of the map's tensors by their names, without reading them; empty where there is no map."""
        for path in (self.folder / "map.safetensors", *files.parts(self.folder, "map.safetensors")):
            try:
                with safe_open(path, framework="pt") as held:
                    shapes = {name: held.get_slice(name).get_shape() for name in held.keys()}  # noqa: SIM118
                return renamed_keys(shapes) if self.header["format"] == 1 else shapes
            except (OSError, SafetensorError):
                continue
        return {}

    def fits(self, shapes: Mapping[str, list[int]]) -> None:
        """Refuse one of our networks that is not that of the map, before memory is taken for it."""
        if not shapes:
            return
        entries = sum(torch.Size(shape).numel() for shape in shapes.values())
        described, largest = self.header["network"], 0.0
        for name, value in (described["arguments"] or {}).items():
            for k in value if isinstance(value, list) else [value]:
                if isinstance(k, (int, float)) and not -entries <= k <= entries:
                    raise ValueError(
                        f"the network of {self.folder} has {name}={value!r}, its map has {entries} numbers"
                    )
                largest = max(largest, abs(k)) if isinstance(k, (int, float)) else largest
        if largest <= 2 * entries**0.5:  # as large as its map at most: made at once, and then compared
            return
        with torch.device("meta"):
            net = self.made("network", nn.Module)
        own = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
        if own != shapes:
            other = next(name for name in [*own, *shapes] if own.get(name) != shapes.get(name))
            raise ValueError(
                f"{self.folder} holds the map of another network than its config.json says: {other} has shape "
                f"{shapes.get(other)} in map.safetensors, and {own.get(other)} in the network"
            )

    def made(self, what: str, kind: type) -> Any:
        """The problem or the network, made anew and checked to be one."""
        try:
            made = _reference.build(self.header[what], self.tensors())
        except (ValueError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError) as error:
            hand = "net=" if what == "network" else "problem="
            raise ValueError(f"the {what} of {self.folder}: {error}. Or give it yourself, as {hand}") from error
        if not isinstance(made, kind):
            raise ValueError(f"the {what} of {self.folder} is a {type(made).__name__}; a {kind.__name__} is expected")
        return made


def settings(value: Any) -> dict[str, Any]:
    """A Method or a Training as JSON."""
    found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {k: _reference.describe(v)[0] if isinstance(v, Interpolant) else v for k, v in found.items()}


def document(
    problem: Problem, net: nn.Module, method: Method, training: Training, teacher: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The four objects as config.json says them, and the tensors that it names."""
    about, tensors = _reference.describe(problem, "problem")
    network, more = _reference.describe(net, "network")
    return {
        "format": FORMAT, "teacher": teacher, "problem": about, "shape": list(problem.shape), "sigma": problem.sigma,
        "classes": problem.classes, "network": network, "method": settings(method), "training": settings(training),
    }, tensors | more  # fmt: skip


def parsed(content: Any, folder: Path) -> RunInfo:
    """config.json's content, read as format 2 or 1.

    Raises:
        ValueError: if it is of another format, or not a run's.
    """
    path = folder / "config.json"
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError(f"{path} is not a run's configuration: it has no format")
    if content["format"] not in (1, FORMAT):
        raise ValueError(f"{path} has format {content['format']!r}, this library reads formats 1 and {FORMAT}")
    try:
        header = format1.translated(content) if content["format"] == 1 else content
        checked(header)
        header = as_then(header)
        training = dict(header["training"])
        if isinstance(training.get("interpolant"), dict):
            training["interpolant"] = _reference.build(training["interpolant"])
        return RunInfo(folder, header, Method(**header["method"]), Training(**training))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} was written by another version of this library, or damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def checked(header: Mapping[str, Any]) -> None:
    """Raise ValueError unless the values of config.json, but for method and training, have their types and ranges."""
    checks.whole("steps_done", header["steps_done"])
    if header["steps"] is not None:
        checks.count("steps", header["steps"])
    checks.at_least("cpu_seconds", header["cpu_seconds"], 0.0)
    checks.positive("sigma", header["sigma"])
    checks.whole("classes", header["classes"])
    kinds = {"shape": list, "problem": dict, "network": dict, "method": dict, "training": dict}
    for name, kind in {**kinds, **{name: dict for name in ("files", "before") if name in header}}.items():
        if not isinstance(header[name], kind) or (kind is list and not header[name]):
            raise ValueError(f"{name} must be a {kind.__name__} that is not empty, got {header[name]!r}")
    if not isinstance(kept := header.get("before", {}).get("files", {}), dict):
        raise ValueError(f"files of before must be a dict, got {kept!r}")
    for side in header["shape"]:
        checks.count("each side of shape", side)
    for name in ("problem", "network"):
        reference, arguments = header[name]["import"], header[name]["arguments"]
        if not isinstance(reference, str) or not isinstance(arguments, (dict, type(None))):
            raise ValueError(f"{name} must be a name and its arguments, got {header[name]!r}")
    if not isinstance(header["teacher"], (str, type(None))):
        raise ValueError(f"teacher must be a folder or null, got {header['teacher']!r}")


def as_then(header: dict[str, Any]) -> dict[str, Any]:
    """config.json's content, with the argument `split` in runs on digits or emoji that are older than it.

    Their images were parted in the order of the file, which is split=None; today's default is 0.
    """
    about = header["problem"]
    if about["import"] not in PARTED or about["arguments"] is None:
        return header
    return header | {"problem": about | {"arguments": {"split": None} | about["arguments"]}}


def differences(there: Mapping[str, Any], asked: Mapping[str, Any], besides: Collection[str] = ()) -> list[str]:
    """Where a document of a run differs from another one, each as "training.lr: 0.003 there, 0.1 asked".

    Args:
        there, asked: the documents.
        besides: settings of the training that may differ.
    """
    out = []
    for what in ("problem", "network", "method", "training"):
        said, want = ({**d[what], **(d[what].get("arguments") or {})} for d in (there, asked))
        if what == "training":
            said = DEFAULTS | said
        for name in dict.fromkeys([*said, *want]):
            if name in ("arguments", "why") or (what == "training" and name in besides):
                continue
            if said.get(name) != want.get(name):
                out.append(f"{what}.{name}: {said.get(name)!r} there, {want.get(name)!r} asked")
    return out


def changes(there: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The CHANGEABLE settings that differ, each as [there, asked]; what an older document lacks had its default."""
    old, new = {name: DEFAULTS[name] for name in CHANGEABLE} | there["training"], asked["training"]
    return {name: [old[name], new[name]] for name in CHANGEABLE if old[name] != new[name]}
