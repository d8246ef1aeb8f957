"""An object as an importable name and its arguments, so that a run's folder can say what it was made of.

    describe(MLP(2, hidden=64))  ->  {"import": "flowmap_edu.nets:MLP", "arguments": {"dim": 2, "hidden": 64}}, {}
    build({"import": "my.lab:problem", "arguments": {}})  ->  what the function `problem` of my/lab.py returns

The arguments are written as JSON; tensors among them go into a second dictionary, for a safetensors file.
"""

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

RECORD = "_flowmap_edu_record"  # the attribute in which an object keeps what made it
T = TypeVar("T")


def arguments_of(f: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of a call f(*args, **kwargs) by name, without the first (self).

    Raises:
        TypeError: if f does not take them.
    """
    bound = inspect.signature(f).bind(*args, **kwargs).arguments
    rest = [p.name for p in inspect.signature(f).parameters.values() if p.kind is p.VAR_KEYWORD]
    named = {name: value for k, (name, value) in enumerate(bound.items()) if k > 0 and name not in rest}
    return named | {name: value for r in rest for name, value in bound.get(r, {}).items()}


def record(made: Any, reference: str, arguments: dict[str, Any]) -> None:
    """Note on an object what made it."""
    object.__setattr__(made, RECORD, (reference, arguments))


def name_of(thing: Any) -> str:
    """The importable name "module:name" of a class or function; a class of this library by its public place."""
    parts = thing.__module__.split(".")
    module = ".".join(parts[:2]) if parts[0] == "flowmap_edu" else thing.__module__
    if not hasattr(sys.modules.get(module), thing.__qualname__.partition(".")[0]):
        module = thing.__module__
    return f"{module}:{thing.__qualname__}"


class Recorded:
    """A base class whose objects remember their arguments, so that a run's folder can name them.

    An argument that is not given is not remembered, unless its name stands in `noted`.
    """

    noted: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an object that remembers its arguments."""
        made = super().__new__(cls)
        with contextlib.suppress(TypeError):  # __init__ will say what is wrong
            known = cls.__init__ is not object.__init__
            takes = inspect.signature(cls.__init__).parameters
            default = {name: takes[name].default for name in cls.noted if name in takes}
            given = arguments_of(cls.__init__, made, *args, **kwargs) if known else {}
            record(made, name_of(cls), default | given)
        return made


def recorded(cls: type[T]) -> type[T]:
    """A class whose objects remember their arguments, so that a run's folder can hold them: a decorator."""
    original = cls.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if type(self) is cls:
            record(self, name_of(cls), arguments_of(original, self, *args, **kwargs))

    cast(Any, cls).__init__ = init
    return cls


def written(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """An argument as JSON; tensors and arrays go into `tensors` under their path.

    Raises:
        TypeError: for an object that JSON cannot hold and that does not know what made it.
    """
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [written(item, f"{path}.{k}", tensors) for k, item in enumerate(value)]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if hasattr(value, RECORD):
        return written_record(value, path, tensors)
    raise TypeError(f"{path} is a {type(value).__name__}")


def written_record(made: Any, path: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The record of an object as JSON."""
    reference, arguments = getattr(made, RECORD)
    return {
        "import": reference,
        "arguments": {name: written(value, f"{path}.{name}", tensors) for name, value in arguments.items()},
    }


def describe(made: Any, path: str = "it") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What made an object, as JSON, and the tensors among its arguments.

    Where that is not known, "arguments" is None and "why" says the reason: the object then has to be given again
    when the run is loaded.
    """
    tensors: dict[str, Tensor] = {}
    if not hasattr(made, RECORD):
        why = "its class does not record its arguments: decorate it with flowmap_edu.nets.recorded"
        return {"import": name_of(type(made)), "arguments": None, "why": why}, {}
    try:
        return written_record(made, path, tensors), tensors
    except TypeError as error:
        reference = getattr(made, RECORD)[0]
        return {"import": reference, "arguments": None, "why": f"a file cannot hold one of its arguments: {error}"}, {}


def find(reference: str) -> Callable[..., Any]:
    """What "module:name" names. The current folder is searched as well.

    Raises:
        ValueError: if there is no such module or no such name in it.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name) or module.startswith("."):
        raise ValueError(f"a reference must look like 'module:name', got {reference!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ValueError(f"{reference!r} needs the module {module!r}, which cannot be imported: {error}") from error
    except AttributeError as error:
        raise ValueError(f"the module {module!r} has no {name!r}") from error
    except SyntaxError as error:
        raise ValueError(f"the module {module!r} is no Python: {error}") from error
    return cast(Any, found)


def read(value: Any, tensors: dict[str, Tensor]) -> Any:
    """An argument from its JSON: `written` undone."""
    if isinstance(value, dict) and "import" in value:
        return build(value, tensors)
    if isinstance(value, dict) and "tensor" in value:
        if value["tensor"] not in tensors:
            raise ValueError(f"the run's tensors.safetensors has no {value['tensor']!r}")
        return tensors[value["tensor"]]
    return [read(item, tensors) for item in value] if isinstance(value, list) else value


def build(description: dict[str, Any], tensors: dict[str, Tensor] | None = None, **changes: Any) -> Any:
    """The object that a description names, some of its arguments changed.

    Raises:
        ValueError: if its module is gone, its arguments were not recorded, or it refuses them.
    """
    reference, arguments = description["import"], description["arguments"]
    if arguments is None:
        raise ValueError(f"{reference} cannot be made again from the run's folder ({description.get('why')})")
    return make(reference, **{name: read(value, tensors or {}) for name, value in arguments.items()} | changes)


def parameters(found: Callable[..., Any]) -> inspect.Signature:
    """What a function, or the constructor of a class, takes."""
    if not inspect.isclass(found):
        return inspect.signature(found)
    if found.__init__ is object.__init__:
        return inspect.Signature()
    own = inspect.signature(found.__init__)
    return own.replace(parameters=list(own.parameters.values())[1:])


def make(reference: str, **arguments: Any) -> Any:
    """Import "module:name", call it with these arguments, and note on the result what made it.

    A name that is no function or class, but an object, is taken as it stands.

    Raises:
        ValueError: if there is no such module or name, or it refuses the arguments.
    """
    found = find(reference)
    if not (inspect.isclass(found) or inspect.isroutine(found) or isinstance(found, functools.partial)):
        if arguments:
            raise ValueError(f"{reference} is a {type(found).__name__} and takes no arguments, got {list(arguments)}")
        made = found
    else:
        takes = parameters(found)
        try:
            takes.bind(**arguments)
        except TypeError as error:
            names = ", ".join(takes.parameters) or "no arguments"
            raise ValueError(f"{reference} does not take these arguments ({error}); it takes {names}") from error
        made = found(**arguments)
    with contextlib.suppress(AttributeError, TypeError):  # a text, a number: whoever asked for it will refuse it
        if getattr(made, RECORD, ("",))[0] != reference:  # its class may have noted more
            record(made, reference, arguments)
    return made
