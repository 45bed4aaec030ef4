"""`card.json`: what people want to know of a model before they let it decide. Serving never looks at it."""

from dataclasses import dataclass

from penstock_serving.model.border import Border, written
from penstock_serving.model.files import CARD_FILE

FORMAT = "penstock.dev/card/v1"
_BORDER = Border(CARD_FILE)


@dataclass(frozen=True, slots=True)
class Data:
    """The training data: a version in words, a digest to check it by later (`sha256:…`), number of rows."""

    version: str
    digest: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """How good the model is, and a baseline that knows no columns, on the same rows (`on` says which)."""

    name: str
    value: float
    baseline: float | None
    on: str


@dataclass(frozen=True, slots=True)
class Importance:
    """How far the answers move, in the mean, when a column's values are handed to other rows."""

    column: str
    value: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one call with one row, without the server, on the machine that packaged; by which backend."""

    backend: str
    median_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class Training:
    """What the training took, and the seeds that it started from."""

    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A short model card; empty texts are what nobody has said. `size_bytes` is that of the estimator's file."""

    owner: str = ""
    purpose: str = ""
    cost_of_errors: str = ""
    data: Data | None = None
    training: Training | None = None
    metrics: tuple[Metric, ...] = ()
    importance: tuple[Importance, ...] = ()
    latency: Latency | None = None
    size_bytes: int | None = None


EMPTY = Card()


def dump(card: Card) -> bytes:
    """As the text of `card.json`."""
    data, training, latency = card.data, card.training, card.latency
    return written(
        {
            "format": FORMAT,
            "owner": card.owner,
            "purpose": card.purpose,
            "cost_of_errors": card.cost_of_errors,
            "data": data and {"version": data.version, "digest": data.digest, "rows": data.rows},
            "training": training
            and {
                "seconds": training.seconds,
                "cpu_seconds": training.cpu_seconds,
                "peak_memory_bytes": training.peak_memory_bytes,
                "seeds": training.seeds,
            },
            "metrics": [
                {"name": metric.name, "value": metric.value, "baseline": metric.baseline, "on": metric.on}
                for metric in card.metrics
            ],
            "importance": [{"column": item.column, "value": item.value} for item in card.importance],
            "latency": latency
            and {
                "backend": latency.backend,
                "median_seconds": latency.median_seconds,
                "p99_seconds": latency.p99_seconds,
            },
            "size_bytes": card.size_bytes,
        }
    )


def load(content: bytes) -> Card:
    """Read `card.json`; raises `BadModelError` (NotAModel) naming the first field that is wrong."""
    texts = ("owner", "purpose", "cost_of_errors")
    root = _BORDER.document(
        content, FORMAT, {*texts, "data", "training", "metrics", "importance", "latency", "size_bytes"}
    )
    return Card(
        **{key: _BORDER.text(root[key], key) for key in texts},
        data=None if root["data"] is None else _data(root["data"]),
        training=None if root["training"] is None else _training(root["training"]),
        metrics=tuple(
            _metric(item, f"metrics[{n}]") for n, item in enumerate(_BORDER.items(root["metrics"], "metrics"))
        ),
        importance=tuple(
            _importance(item, f"importance[{n}]")
            for n, item in enumerate(_BORDER.items(root["importance"], "importance"))
        ),
        latency=None if root["latency"] is None else _latency(root["latency"]),
        size_bytes=None if root["size_bytes"] is None else _BORDER.whole(root["size_bytes"], "size_bytes"),
    )


def _data(value: object) -> Data:
    raw = _BORDER.fields(value, "data", {"version", "digest", "rows"})
    rows = None if raw["rows"] is None else _BORDER.whole(raw["rows"], "data.rows")
    return Data(_BORDER.text(raw["version"], "data.version"), _BORDER.text(raw["digest"], "data.digest"), rows)


def _training(value: object) -> Training:
    raw = _BORDER.fields(value, "training", {"seconds", "cpu_seconds", "peak_memory_bytes", "seeds"})
    peak = raw["peak_memory_bytes"]
    return Training(
        seconds=_optional(raw["seconds"], "training.seconds"),
        cpu_seconds=_optional(raw["cpu_seconds"], "training.cpu_seconds"),
        peak_memory_bytes=None if peak is None else _BORDER.whole(peak, "training.peak_memory_bytes"),
        seeds=tuple(_BORDER.whole(seed, "training.seeds") for seed in _BORDER.items(raw["seeds"], "training.seeds")),
    )


def _metric(value: object, where: str) -> Metric:
    raw = _BORDER.fields(value, where, {"name", "value", "baseline", "on"})
    return Metric(
        name=_BORDER.text(raw["name"], f"{where}.name"),
        value=_BORDER.number(raw["value"], f"{where}.value"),
        baseline=_optional(raw["baseline"], f"{where}.baseline"),
        on=_BORDER.text(raw["on"], f"{where}.on"),
    )


def _importance(value: object, where: str) -> Importance:
    raw = _BORDER.fields(value, where, {"column", "value"})
    return Importance(_BORDER.text(raw["column"], f"{where}.column"), _BORDER.number(raw["value"], f"{where}.value"))


def _latency(value: object) -> Latency:
    raw = _BORDER.fields(value, "latency", {"backend", "median_seconds", "p99_seconds"})
    return Latency(
        backend=_BORDER.text(raw["backend"], "latency.backend"),
        median_seconds=_BORDER.number(raw["median_seconds"], "latency.median_seconds"),
        p99_seconds=_BORDER.number(raw["p99_seconds"], "latency.p99_seconds"),
    )


def _optional(value: object, where: str) -> float | None:
    return None if value is None else _BORDER.number(value, where)
