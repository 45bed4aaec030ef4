"""Put changed code in the place of a module that others have imported already."""

import ast
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import FunctionType, ModuleType


def graft(name: str, tree: ast.Module) -> None:
    """Give the functions, methods, defaults and constants of the module `name` what `tree` says.

    Functions keep their identity and get the code; constants are exchanged wherever they were imported to.
    """
    sound = sys.modules[name]
    changed = ModuleType(name)
    changed.__dict__["__file__"] = sound.__file__
    try:
        sys.modules[name] = changed  # dataclasses look their module up
        exec(compile(tree, str(sound.__file__), "exec"), changed.__dict__)
    finally:
        sys.modules[name] = sound
    for key, value in changed.__dict__.items():
        known = sound.__dict__.get(key)
        if isinstance(value, FunctionType) and isinstance(known, FunctionType):
            _function(known, value)
        elif isinstance(value, type) and isinstance(known, type) and value.__module__ == name:
            _class(known, value)
        elif isinstance(value, bool | int | float | str | tuple | dict) and value != known and key[:2] != "__":
            _constant(key, known, value)


def _function(sound: FunctionType, changed: FunctionType) -> None:
    if changed.__module__ == sound.__module__:
        sound.__code__, sound.__defaults__ = changed.__code__, changed.__defaults__
        sound.__kwdefaults__ = changed.__kwdefaults__


def _class(sound: type, changed: type) -> None:
    for key, value in _methods(changed).items():
        known = _methods(sound).get(key)
        if known is None:
            continue
        if key == "__init__" and is_dataclass(sound):
            sound.__init__ = value  # type: ignore[misc]
        elif not value.__code__.co_freevars:
            _function(known, value)


def _methods(kind: type) -> Mapping[str, FunctionType]:
    found = {}
    for key, value in vars(kind).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            found[key] = function
    return found


def _constant(key: str, known: object, value: object) -> None:
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if (module.__name__.startswith(("penstock.", "tests.", "test_"))) and key in names and names[key] is known:
            names[key] = value
