"""The operator's process: kopf listens, the queue remembers, workers do the rest. Nothing else happens here.

Run as `python -m penstock.main`; see `runtime.config` for its environment.
"""

import asyncio
import itertools
import logging
import os
import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from penstock.cluster.kinds import Kind
from penstock.runtime.config import BadConfigError, Config, read_config
from penstock.runtime.operator import Operator
from penstock.runtime.watching import WATCHES, Watch

EXIT_BAD_CONFIG = 78


class _Backoffs(Iterable[float]):
    """Waits between attempts to reach the API server, without end: an operator that gives up helps nobody."""

    def __iter__(self) -> Iterator[float]:
        return (random.uniform(0.5, 1.0) * wait for wait in itertools.chain((1, 2, 4, 8, 15), itertools.repeat(30)))  # noqa: S311


def settings() -> kopf.OperatorSettings:
    """kopf's settings: no peering, no events, no state of its own, patience without end."""
    made = kopf.OperatorSettings()
    made.peering.standalone = True
    made.posting.enabled = False
    made.scanning.disabled = True
    made.process.ultimate_exiting_timeout = 20.0
    made.networking.error_backoffs = _Backoffs()
    made.networking.connect_timeout = 10.0
    made.networking.request_timeout = 60.0
    made.watching.server_timeout = 300
    made.watching.client_timeout = 330
    made.watching.connect_timeout = 10
    made.watching.reconnect_backoff = 1.0
    made.watching.chunk_size = 500
    for watch in WATCHES:
        if watch.labels:
            made.watching.label_selectors[_names(watch.kind)] = watch.labels
    return made


class Shell:
    """What kopf calls."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._operator: Operator | None = None
        self.stop = asyncio.Event()
        self.failed = False
        self.registry = kopf.OperatorRegistry()
        kopf.on.login(registry=self.registry)(login)
        kopf.on.startup(registry=self.registry, errors=kopf.ErrorsMode.PERMANENT)(self.startup)
        kopf.on.cleanup(registry=self.registry)(self.cleanup)
        for watch in WATCHES:
            self._listen(watch)

    def _listen(self, watch: Watch) -> None:
        async def noticed(body: kopf.Body, **_: Any) -> None:
            if self._operator is not None:
                self._operator.notice(watch.kind, dict(body))

        kopf.on.event(*_names(watch.kind), id=f"notice-{watch.kind.plural}", registry=self.registry)(noticed)

    async def startup(self, **_: Any) -> None:
        """Start the workers before the first event."""
        self._operator = await Operator.start(self._config, self._fail)

    async def cleanup(self, **_: Any) -> None:
        """Stop the workers after the last event."""
        if self._operator is not None:
            await self._operator.stop()

    def _fail(self) -> None:
        self.failed = True
        self.stop.set()


def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """The pod's service account, or KUBECONFIG when it is set."""
    if os.environ.get("KUBECONFIG"):
        return kopf.login_with_kubeconfig(**arguments)
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


def _names(kind: Kind) -> tuple[str, str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version, kind.plural


async def run(config: Config) -> int:
    """Run until a signal comes or a part fails; the exit status."""
    shell = Shell(config)
    await kopf.operator(
        registry=shell.registry,
        settings=settings(),
        standalone=True,
        identity=Identity("penstock"),  # else kopf looks up the user's name, and the container's user has none
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
        stop_flag=shell.stop,
    )
    return int(shell.failed)


def main() -> int:
    """Run the operator; the exit status."""
    level = os.environ.get("PENSTOCK_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    try:
        config = read_config(os.environ)
    except BadConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_CONFIG
    return asyncio.run(run(config))


if __name__ == "__main__":
    sys.exit(main())
