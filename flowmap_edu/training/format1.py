"""Runs of format 1, in which a run was one flat configuration of names, as format 2 says them."""

import dataclasses
from typing import Any

from flowmap_edu.methods import METHODS
from flowmap_edu.nets.unet import renamed_keys

BOARD_SIGMA = 1 / 3**0.5
PLANE: dict[str, tuple[str, float]] = {"checkerboard": ("Checkerboard", BOARD_SIGMA), "gaussian": ("Gaussian", 1.0)}
CIFAR: dict[str, Any] = {"size": 32, "width": 128, "multipliers": [2, 2, 2], "blocks": 4, "attention": [16]}
FACES: dict[str, Any] = {"size": 64, "width": 128, "multipliers": [1, 2, 3, 4], "blocks": 3, "attention": [16, 8]}
EMOJI: dict[str, Any] = {"size": 32, "width": 24, "multipliers": [1, 2, 2], "blocks": 1, "attention": [8]}
DIGITS: dict[str, Any] = {"size": 8, "channels": 1, "width": 8, "multipliers": [2, 3], "blocks": 1}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {  # problem: its class, its network's arguments
    "digits": ("Digits", DIGITS | {"classes": 10}),
    "emoji": ("Emoji", EMOJI | {"classes": 10}),
    "cifar10": ("Cifar10", CIFAR | {"dropout": 0.13}),
    "celeba64": ("CelebA64", FACES),
    "afhq64": ("AFHQ64", FACES),
}
DEFAULTS: dict[str, Any] = {  # of the fields that the first files lack or that a file may lack
    "stopgrad": None, "teacher": None, "root": None, "sigma": 0.5, "weighting": False, "unlabelled": 0.0,
    "precision": "fp32", "accumulate": 1, "channels_last": False, "decay_from": 35_000, "second_ema": None,
}  # fmt: skip
NETWORK = {
    "hidden": "hidden", "layers": "layers", "activation": "activation", "fourier": "fourier", "bandwidth": "bandwidth",
    "harmonics": "time_frequencies",
}  # fmt: skip
TRAINING = {
    "even": "stratified", "bank": "stf_batch", "unlabelled": "label_dropout", "seed": "seed", "steps": "steps",
    "minutes": "minutes", "weighting": "weighting", "precision": "precision", "accumulate": "accumulate",
    "channels_last": "channels_last", "batch": "batch", "diagonal": "diagonal", "optimizer": "optimizer", "lr": "lr",
    "warmup": "warmup", "decay": "decay", "decay_from": "decay_from", "clip": "clip", "ema": "ema",
    "second_ema": "second_ema", "compile": "compile", "at_zero": "at_zero", "at_one": "at_one",
}  # fmt: skip


def translated(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a config.json of format 1, said as format 2 says it; its "format" stays 1.

    Raises:
        KeyError, TypeError: if it is no such content.
    """
    config = DEFAULTS | content["config"]
    unknown = set(config) - set(DEFAULTS) - set(NETWORK) - set(TRAINING) - {"problem", "method"}
    if unknown:
        raise TypeError(f"unknown settings {sorted(unknown)}")
    method = METHODS[config["method"]]
    if config["stopgrad"] is not None:
        method = dataclasses.replace(method, stopgrad=config["stopgrad"])
    training = {new: config[old] for old, new in TRAINING.items()}
    ignored = {"decay_from": None} if training["decay"] != "sqrt" else {}  # what format 1 let stand
    if method.times != "triangle" or method.condition == "diagonal":
        ignored |= {"at_zero": 0.0, "at_one": 0.0}
    if not training["diagonal"]:
        ignored |= {"stf_batch": 0}
    if config["problem"] not in IMAGES:
        ignored |= {"channels_last": False}
    if not IMAGES.get(config["problem"], ("", {}))[1].get("classes"):
        ignored |= {"label_dropout": 0.0}
    training |= ignored
    if config["problem"] in IMAGES:
        kind, network = IMAGES[config["problem"]]
        classes, sigma = network.get("classes", 0), config["sigma"]
        arguments: dict[str, Any] = {"sigma": sigma, "root": config["root"], "labels": bool(classes)}
        size, channels = network["size"], network.get("channels", 3)
        shape = [channels, size, size]
        net = {"import": "flowmap_edu.nets:UNet", "arguments": network}
    else:
        kind, sigma = PLANE[config["problem"]]
        arguments, classes, shape = {}, 0, [2]
        given = {new: config[old] for old, new in NETWORK.items()}
        net = {"import": "flowmap_edu.nets:MLP", "arguments": {"dim": 2, "scale": sigma} | given}
    header = {name: content[name] for name in ("steps_done", "steps", "cpu_seconds")}
    return header | {
        "format": 1, "teacher": config["teacher"],
        "problem": {"import": f"flowmap_edu.problems:{kind}", "arguments": arguments},
        "shape": shape, "sigma": sigma, "classes": classes, "network": net,
        "method": dataclasses.asdict(method), "training": training,
    }  # fmt: skip


def checkpoint(held: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint of format 1 as one of format 2, which keeps the schedule and has other names in the U-Net.

    `State.restore` sets the learning rate from the schedule. A checkpoint of format 2 is returned as it is.
    """
    if "schedule" in held or "step" not in held:
        return held
    networks = {name: renamed_keys(held[name]) for name in ("net", "average", "second", "teacher") if name in held}
    schedule = {"last_epoch": held["step"], "_step_count": held["step"] + 1, "lr_lambdas": [None]}
    return held | networks | {"schedule": schedule}
