"""The model server's counters, as Prometheus text. Every series exists from the start, at zero."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock_serving import contract
from penstock_serving.protocol.rules import RULES
from penstock_serving.server.feed import Feed

ROUTES = ("infer", "predict", "other")
_CODES = ("200", "400", "404", "413", "415", "429", "500", "503", "504")
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics:
    """Counts requests by route and status, their time, rows, refusals by rule, saturation, and start-up phases."""

    def __init__(self, identity: tuple[str, str, str], feed: Feed, in_flight: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = contract.IDENTITY_LABELS

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(name.removesuffix("_total"), text, (*labels, *more), registry=self._registry)

        requests = counter(contract.METRIC_REQUESTS, "Requests answered.", "route", "code")
        self._requests = requests
        self._identity = identity
        self._by_answer = {
            (route, code): requests.labels(*identity, route, code) for route in ROUTES for code in _CODES
        }
        seconds = Histogram(
            contract.METRIC_SECONDS,
            "Time from the request's head to its answer.",
            (*labels, "route"),
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._seconds = {route: seconds.labels(*identity, route) for route in ROUTES}
        self.rows = counter(contract.METRIC_ROWS, "Rows predicted.").labels(*identity)
        refused = counter(contract.METRIC_REFUSED, "Requests that the model refused.", "rule")
        self.refused = {rule: refused.labels(*identity, rule.value) for rule in RULES}
        self.saturated = counter(contract.METRIC_SATURATED, "Requests refused as too many.").labels(*identity)
        gauge = Gauge(contract.METRIC_IN_FLIGHT, "Requests admitted and not answered.", labels, registry=self._registry)
        gauge.labels(*identity).set_function(in_flight)
        self._startup = Gauge(
            contract.METRIC_STARTUP_SECONDS,
            "Seconds that each phase of the start took.",
            (*labels, "phase"),
            registry=self._registry,
        )
        self._registry.register(_FeedCollector(feed, identity))

    def answered(self, route: str, status: int, began: float) -> None:
        """Count an answer to a request that began at `began` (`time.perf_counter`)."""
        code = str(status)
        child = self._by_answer.get((route, code))
        if child is None:
            child = self._by_answer[route, code] = self._requests.labels(*self._identity, route, code)
        child.inc()
        self._seconds[route].observe(time.perf_counter() - began)

    def started(self, phase: str, seconds: float) -> None:
        """Record how long a phase of the start took."""
        self._startup.labels(*self._identity, phase).set(seconds)

    def render(self) -> bytes:
        """The counters as Prometheus text."""
        text: bytes = generate_latest(self._registry)
        return text


class _FeedCollector(Collector):
    def __init__(self, feed: Feed, identity: tuple[str, str, str]) -> None:
        self._feed, self._identity = feed, identity

    def collect(self) -> Iterator[Metric]:
        counts = self._feed.counts()
        family = CounterMetricFamily(
            contract.METRIC_FEED_RECORDS.removesuffix("_total"),
            "Records for the monitor, by what became of them.",
            labels=(*contract.IDENTITY_LABELS, "outcome"),
        )
        family.add_metric((*self._identity, "sent"), counts.sent)
        family.add_metric((*self._identity, "dropped"), counts.dropped)
        yield family
