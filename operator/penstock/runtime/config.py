"""The operator's configuration, from its environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from penstock.api.contract import AGENT_PORT
from penstock.world import Defaults

_Value = TypeVar("_Value")


class BadConfigError(ValueError):
    """A variable that cannot be used; the message names it and says what to write."""


@dataclass(frozen=True, slots=True)
class Config:
    """`namespaces` are the only ones looked at, all when empty. Times in seconds: `look_every` between two looks at the
    ledgers of what is being judged, `resync_every` between two visits to every object without any cause."""

    defaults: Defaults
    namespaces: tuple[str, ...] = ()
    bind: str = "0.0.0.0"  # noqa: S104
    port: int = 8080
    agent_port: int = AGENT_PORT
    workers: int = 8
    look_every: float = 0.25
    resync_every: float = 300.0
    deaf_after: float = 60.0
    stuck_after: float = 120.0


def read_config(environment: Mapping[str, str]) -> Config:
    """Raises BadConfigError."""

    def read(name: str, form: str, parse: Callable[[str], _Value], otherwise: _Value) -> _Value:
        text = environment.get(f"PENSTOCK_{name}", "").strip()
        if not text:
            return otherwise
        try:
            return parse(text)
        except ValueError:
            raise BadConfigError(f"PENSTOCK_{name} is {text!r}; it must be {form}") from None

    def needed(name: str, what: str) -> str:
        text = environment.get(f"PENSTOCK_{name}", "").strip()
        if not text:
            raise BadConfigError(f"PENSTOCK_{name} is not set; it must be {what}")
        return text

    seconds = "a number of seconds above 0, like 0.25"
    port = "a port from 1 to 65535"
    usual = Config(
        Defaults(
            serving_image=needed("SERVING_IMAGE", "the image of the model server"),
            router_image=needed("ROUTER_IMAGE", "the image with Envoy"),
            agent_image=needed("AGENT_IMAGE", "the operator's own image, which holds the router's agent"),
            operator_namespace=needed("NAMESPACE", "the namespace in which the operator runs"),
        )
    )
    return Config(
        defaults=usual.defaults,
        namespaces=read("NAMESPACES", "names with commas between them", _names, usual.namespaces),
        bind=read("BIND", "an address", str, usual.bind),
        port=read("PORT", port, _port, usual.port),
        agent_port=read("AGENT_PORT", port, _port, usual.agent_port),
        workers=read("WORKERS", "a number from 1 to 100", _workers, usual.workers),
        look_every=read("LOOK_SECONDS", seconds, _seconds, usual.look_every),
        resync_every=read("RESYNC_SECONDS", seconds, _seconds, usual.resync_every),
        deaf_after=read("DEAF_SECONDS", seconds, _seconds, usual.deaf_after),
        stuck_after=read("STUCK_SECONDS", seconds, _seconds, usual.stuck_after),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _within(value: int, lowest: int, highest: int) -> int:
    if not lowest <= value <= highest:
        raise ValueError
    return value


def _port(text: str) -> int:
    return _within(int(text), 1, 65_535)


def _workers(text: str) -> int:
    return _within(int(text), 1, 100)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 86_400.0:
        raise ValueError
    return value
