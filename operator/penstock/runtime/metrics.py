"""The operator's own metrics. Counters are whole numbers; the series of an object that is gone are gone too."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.runtime.keys import Key

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """One gauge as it stands: name without prefix, help, labels in order, value."""

    name: str
    says: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Metrics(Collector):
    """Counts what happens; asks for what is at the moment of a scrape."""

    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        self._samples = samples
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._passes: Counter[tuple[str, str]] = Counter()
        self._milliseconds: Counter[str] = Counter()
        self._decisions: Counter[tuple[str, str]] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def answered(self, verb: str, kind: str, status: int) -> None:
        """The API server answered a request; status 0 when it did not."""
        self._requests[verb, kind, status] += 1

    def passed(self, key: Key, outcome: str, seconds: float) -> None:
        """A pass over an object ended."""
        self._passes[key.queue.value, outcome] += 1
        self._milliseconds[key.queue.value] += round(seconds * 1000)

    def decided(self, decision: str, reason: str) -> None:
        """The judge's word on a release changed to this."""
        self._decisions[decision, reason] += 1

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every family, as it stands now."""
        yield _counter("api_requests", "Requests to the API server, by answer (0: none).", ("verb", "kind", "status"),
                       (((verb, kind, str(status)), n) for (verb, kind, status), n in self._requests.items()))  # fmt: skip
        yield _counter("passes", "Passes over objects, by outcome.", ("kind", "outcome"), self._passes.items())
        yield _counter(
            "pass_milliseconds",
            "Milliseconds spent in passes.",
            ("kind",),
            (((kind,), n) for kind, n in self._milliseconds.items()),
        )
        yield _counter("decisions", "Changes of the judge's word.", ("decision", "reason"), self._decisions.items())
        families: dict[str, GaugeMetricFamily] = {}
        for sample in self._samples():
            names = [name for name, _ in sample.labels]
            family = families.get(sample.name)
            if family is None:
                family = families[sample.name] = GaugeMetricFamily(f"penstock_{sample.name}", sample.says, labels=names)
            family.add_metric([value for _, value in sample.labels], sample.value)
        yield from families.values()


def _counter(
    name: str, says: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"penstock_{name}", says, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family
