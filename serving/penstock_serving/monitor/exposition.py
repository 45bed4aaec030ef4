"""The monitor's counters as Prometheus text."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock_serving import contract
from penstock_serving.model.signature import Signature
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.layout import Layout
from penstock_serving.monitor.state import Counters, State
from penstock_serving.protocol.rules import RULES

_LABELS = contract.IDENTITY_LABELS


class MonitorMetrics(Collector):
    """Reads a snapshot of the counters for every scrape."""

    def __init__(self, identity: tuple[str, str, str], signature: Signature, layout: Layout, state: State) -> None:
        self._identity, self._signature, self._layout, self._state = identity, signature, layout, state
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """The counters as Prometheus text."""
        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterator[Metric]:
        """All families, from one snapshot."""
        counters = self._state.snapshot()
        records = self._counter(contract.METRIC_MONITOR_RECORDS, "Records counted.", "kind")
        records.add_metric((*self._identity, "row"), int(counters[at.ROWS]))
        records.add_metric((*self._identity, "refusal"), int(counters[at.REFUSALS]))
        yield records
        yield self._single(contract.METRIC_MONITOR_LOST, "Records that were not seen.", counters[at.LOST])
        yield self._single(contract.METRIC_MONITOR_MALFORMED, "Datagrams that made no sense.", counters[at.MALFORMED])
        yield self._single(contract.METRIC_MONITOR_RESTARTS, "Restarts of the counting process.", self._state.restarts)
        yield from self._features(counters)
        yield from self._predictions(counters)
        yield self._violations(counters)

    def _counter(self, name: str, text: str, *labels: str) -> CounterMetricFamily:
        return CounterMetricFamily(name.removesuffix("_total"), text, labels=(*_LABELS, *labels))

    def _single(self, name: str, text: str, value: int) -> CounterMetricFamily:
        family = self._counter(name, text)
        family.add_metric(self._identity, int(value))
        return family

    def _features(self, counters: Counters) -> Iterator[Metric]:
        values = HistogramMetricFamily(
            contract.METRIC_FEATURE_VALUE, "Values of a numeric feature.", labels=(*_LABELS, "feature")
        )
        categories = self._counter(contract.METRIC_FEATURE_CATEGORY, "Values of a text feature.", "feature", "category")
        missing = self._counter(contract.METRIC_FEATURE_MISSING, "Missing values of a feature.", "feature")
        first = self._layout.missing.start
        for index, (column, span) in enumerate(zip(self._signature.columns, self._layout.features, strict=True)):
            counts = counters[span.start : span.stop].tolist()
            missing.add_metric((*self._identity, column.name), int(counters[first + index]))
            if column.is_text:
                for category, count in zip((*column.categories, contract.UNSEEN_CATEGORY), counts, strict=True):
                    categories.add_metric((*self._identity, column.name, category), count)
            else:
                values.add_metric((*self._identity, column.name), buckets(column.edges, counts), None)
        yield values
        yield categories
        yield missing

    def _predictions(self, counters: Counters) -> Iterator[Metric]:
        span = self._layout.predictions
        counts = counters[span.start : span.stop].tolist()
        if self._signature.classes:
            classes = self._counter(contract.METRIC_PREDICTION_CLASS, "Predictions of a class.", "class")
            for label, count in zip(self._signature.classes, counts, strict=True):
                classes.add_metric((*self._identity, str(label)), count)
            yield classes
        else:
            values = HistogramMetricFamily(contract.METRIC_PREDICTION_VALUE, "Predicted values.", labels=_LABELS)
            values.add_metric(self._identity, buckets(self._signature.prediction_edges, counts), None)
            yield values
        yield self._single(
            contract.METRIC_PREDICTION_UNOBSERVED, "Rows without one prediction to count.", counters[at.UNOBSERVED]
        )

    def _violations(self, counters: Counters) -> Metric:
        """Violations that occurred: all combinations of rule and column would be too many series."""
        family = self._counter(
            contract.METRIC_SCHEMA_VIOLATIONS,
            "Requests that the model refused, by feature and rule.",
            "feature",
            "rule",
        )
        names = (*self._signature.names, contract.NO_FEATURE)
        span = self._layout.violations
        table = counters[span.start : span.stop].reshape(len(RULES), len(names))
        for number, index in zip(*table.nonzero(), strict=True):
            family.add_metric((*self._identity, names[index], RULES[number].value), int(table[number, index]))
        return family


def buckets(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative buckets `(le, count)` from counts between edges."""
    total = 0
    cumulative: list[tuple[str, float]] = []
    for edge, count in zip((*map(repr, edges), "+Inf"), counts, strict=True):
        total += count
        cumulative.append((edge, total))
    return cumulative
