"""The process that counts, started by the supervisor: takes datagrams, serves the counters."""

import os
import socket
import sys

from penstock_serving import contract, settings
from penstock_serving.metrics_port import read_token, serve_metrics
from penstock_serving.model.errors import ModelError
from penstock_serving.model.files import SIGNATURE_FILE, model_directory
from penstock_serving.model.signature_json import load
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.count import Tally
from penstock_serving.monitor.exposition import MonitorMetrics
from penstock_serving.monitor.layout import layout
from penstock_serving.monitor.state import State
from penstock_serving.monitor.wire import MAX_DATAGRAM, MalformedDatagramError, decode

_NICE = 10


def count(intake: socket.socket, state: State, tally: Tally, columns: int) -> None:
    """Count datagrams for ever."""
    while True:
        content = intake.recv(MAX_DATAGRAM + 1)
        counters = state.begin()
        try:
            tally.add(decode(content, columns), counters)
        except MalformedDatagramError:
            counters[at.MALFORMED] += 1
        state.commit()


def main(intake_handle: int, memory_handle: int) -> None:
    """Count what arrives at the inherited socket into the inherited memory; raises `ModelError` without a signature."""
    digest = settings.text(contract.ENV_MODEL_DIGEST)
    identity = (
        settings.text(contract.ENV_MODEL_NAME),
        settings.text(contract.ENV_REVISION, "none"),
        digest,
    )
    directory = model_directory(settings.path(contract.ENV_MODEL_ROOT, contract.MODEL_ROOT), digest)
    signature = load((directory / SIGNATURE_FILE).read_bytes())
    counters = layout(signature)
    state = State(memory_handle, counters)
    metrics = MonitorMetrics(identity, signature, counters, state)
    serve_metrics(
        settings.text(contract.ENV_BIND_ADDRESS, "0.0.0.0"),  # noqa: S104  (a pod is scraped from outside)
        settings.integer(contract.ENV_MONITOR_METRICS_PORT, contract.MONITOR_METRICS_PORT, 1, 65535),
        metrics.render,
        read_token(os.environ.get(contract.ENV_METRICS_TOKEN_FILE, "")),
    )
    # Counting waits; answering does not.
    os.nice(_NICE)
    with socket.socket(fileno=intake_handle) as intake:
        count(intake, state, Tally(signature, counters), len(signature.columns))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except ModelError as error:
        sys.exit(f"monitor: {error.message}")
