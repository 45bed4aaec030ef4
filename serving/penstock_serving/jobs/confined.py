"""Packaging in the sandbox: what runs in the confined child when a file is packaged that is not yet in memory."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock_serving.compile.opening import open_bytes
from penstock_serving.jobs.contents import Contents, Source, contents
from penstock_serving.jobs.evaluation import evaluate
from penstock_serving.jobs.latency import measure
from penstock_serving.jobs.order import Clock, Order, order
from penstock_serving.model import card as cards
from penstock_serving.model.card import Latency
from penstock_serving.model.estimator import open_pickle, open_skops
from penstock_serving.model.files import CARD_FILE, GRAPH_FILE, MODEL_FILE, ONNX_FILE, SKOPS_FILE
from penstock_serving.model.frame import Matrix
from penstock_serving.model.graph import open_graph
from penstock_serving.sandbox.parts import Parts

_OPENERS: dict[str, Callable[[Order], Any]] = {
    GRAPH_FILE: lambda wanted: open_graph(wanted.artifact),
    SKOPS_FILE: lambda wanted: open_skops(wanted.artifact, wanted.trusted),
    MODEL_FILE: lambda wanted: open_pickle(wanted.artifact),
}


def work(parts: Parts) -> Parts:
    """Open the artifact and make the files of its package, all but the artifact itself."""
    warnings.simplefilter("ignore")
    wanted = order(dict(parts))
    model = _OPENERS[wanted.file](wanted)
    made = contents(Source(model, wanted.file, wanted.artifact), wanted.reference, wanted.card)
    files = dict(made.files)
    files[CARD_FILE] = _measured(files[CARD_FILE], made, wanted)
    del files[wanted.file]
    return files


def _measured(card: bytes, made: Contents, wanted: Order) -> bytes:
    known = cards.load(card)
    for labels in wanted.labels.values():
        rows = made.matrix[: len(labels)]
        found = evaluate(made.methods, made.signature, rows, labels[: len(made.matrix)])
        known = replace(known, metrics=(*known.metrics, *found))
    if wanted.clock is Clock.ON:
        known = replace(known, latency=_timed(made))
    return cards.dump(known)


def _timed(made: Contents) -> Latency:
    name = made.signature.default_output
    if ONNX_FILE in made.files:
        ask: Callable[[Matrix], Matrix] = open_bytes(made.files[ONNX_FILE], made.signature)[name]
        return measure(ask, "onnx", made.matrix)
    return measure(made.methods[name], "onnx" if made.serving.estimator == GRAPH_FILE else "scikit-learn", made.matrix)
