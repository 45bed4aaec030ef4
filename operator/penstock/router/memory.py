"""The router's state on disk. It is written before Envoy sees any of it, so nothing that counts is ever unknown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock.router.errors import BadInputError
from penstock.router.journal import replace_file
from penstock.router.plan import InForce, Leaving, RouterState, Scope, Slot
from penstock.router.reading import Value
from penstock.router.routing import Dialect, Threshold
from penstock.router.wire import read_model, write_model

FILE = "state.json"
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Remembered:
    """The state, and while a change is being made what the changed models had before (None: nothing)."""

    state: RouterState
    before: Mapping[str, InForce | None]

    @property
    def in_force(self) -> RouterState:
        """What was surely in force: the state as if the change under way had not begun."""
        models = dict(self.state.models)
        for name, had in self.before.items():
            models.pop(name, None)
            if had is not None:
                models[name] = had
        return replace(self.state, models=models)


def save(folder: Path, remembered: Remembered) -> None:
    """Write the state in one step."""
    replace_file(folder / FILE, _text(remembered))


def load(folder: Path) -> Remembered | None:
    """What was last saved; None when there is nothing. Raises BadInputError for a file that no such agent wrote."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        before = {str(name): None if it is None else _in_force(it) for name, it in raw["before"].items()}
        return Remembered(_state(raw), before)
    except (ValueError, TypeError, KeyError, AttributeError, BadInputError) as error:
        raise BadInputError(str(path), f"is not this agent's state ({error!r}); remove it to start afresh") from error


def set_aside(folder: Path) -> None:
    """Put an unreadable state out of the way, for a person to look at."""
    path = folder / FILE
    path.replace(path.with_suffix(".unreadable"))


def _state(raw: Any) -> RouterState:
    return RouterState(
        models={str(name): _in_force(entry) for name, entry in raw["models"].items()},
        leaving=tuple(
            Leaving(read_model(Value(it["route"], "route")), int(it["slot"]), float(it["until"]))
            for it in raw["leaving"]
        ),
        slots={str(name): tuple(Slot(**slot) for slot in slots) for name, slots in raw["slots"].items()},
        scopes={str(name): tuple(map(_scope, scopes)) for name, scopes in raw["scopes"].items()},
        next_generation=int(raw["nextGeneration"]),
    )


def _text(remembered: Remembered) -> str:
    """JSON, joined from texts that are remembered by model: a change of one must not cost all."""
    state = remembered.state
    members = {
        "models": _object({name: _in_force_text(model) for name, model in state.models.items()}),
        "before": _object({n: "null" if it is None else _in_force_text(it) for n, it in remembered.before.items()}),
        "leaving": _json([_leaving_json(it) for it in state.leaving]),
        "slots": _object({name: _slots_text(slots) for name, slots in state.slots.items()}),
        "scopes": _object({name: _scopes_text(scopes) for name, scopes in state.scopes.items()}),
        "nextGeneration": _json(state.next_generation),
    }
    return _object(members)


def _object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{_json(name)}:{text}" for name, text in members.items()) + "}"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@lru_cache(_REMEMBERED)
def _in_force_text(model: InForce) -> str:
    return _json({"route": write_model(model.route), "slot": model.slot, "scope": _scope_json(model.scope)})


@lru_cache(_REMEMBERED)
def _slots_text(slots: tuple[Slot, ...]) -> str:
    return _json([_slot_json(slot) for slot in slots])


@lru_cache(_REMEMBERED)
def _scopes_text(scopes: tuple[Scope, ...]) -> str:
    return _json([_scope_json(scope) for scope in scopes])


def _leaving_json(leaving: Leaving) -> dict[str, object]:
    return {"route": write_model(leaving.route), "slot": leaving.slot, "until": leaving.until}


def _in_force(raw: Any) -> InForce:
    return InForce(read_model(Value(raw["route"], "route")), int(raw["slot"]), _scope(raw["scope"]))


def _slot_json(slot: Slot) -> dict[str, object]:
    return {name: getattr(slot, name) for name in Slot.__slots__}


def _scope_json(scope: Scope) -> dict[str, object]:
    return {
        "generation": scope.generation,
        "tryTimeout": scope.try_timeout,
        "thresholds": {it.name: it.milliseconds for it in scope.thresholds},
        "dialect": scope.dialect.value,
        "freeAt": scope.free_at,
    }


def _scope(raw: Any) -> Scope:
    return Scope(
        generation=int(raw["generation"]),
        try_timeout=int(raw["tryTimeout"]),
        thresholds=tuple(Threshold(name, int(limit)) for name, limit in raw["thresholds"].items()),
        dialect=Dialect(raw["dialect"]),
        free_at=raw["freeAt"],
    )
