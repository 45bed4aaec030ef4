"""The model server's counters, as Prometheus text. Every series exists from the start, at zero.

Counting happens on the event loop for every request, so the counters are plain numbers of one thread without a lock;
they are made into series only when they are read.
"""

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock_serving import contract
from penstock_serving.protocol.rules import RULES, Rule
from penstock_serving.server.counts import Counts
from penstock_serving.server.feed import Feed
from penstock_serving.server.work import Work

_HTTP_ROUTES = ("infer", "predict", "explain", "other")
_GRPC_ROUTE = "grpc"
_CODES = (200, 400, 404, 413, 415, 429, 500, 503, 504)
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServerMetrics(Collector):
    """Counts requests by route and status, their time, rows, refusals by rule, saturation, and start-up phases.

    To be counted with from one thread, and read from any. What is told is `totals`: of one worker its own counts.
    """

    def __init__(self, identity: tuple[str, str, str], feed: Feed) -> None:
        self._identity, self._feed = identity, feed
        routes = (*_HTTP_ROUTES, _GRPC_ROUTE)
        self._answers: dict[tuple[str, int | str], int] = {
            (route, code): 0 for route in _HTTP_ROUTES for code in _CODES
        }
        self._answers[_GRPC_ROUTE, "OK"] = 0
        self._buckets = {route: [0] * (len(BUCKETS) + 1) for route in routes}
        self._seconds = dict.fromkeys(routes, 0.0)
        self._refused = dict.fromkeys(RULES, 0)
        self._startup: dict[str, float] = {}
        self.rows = 0
        self.saturated = 0
        self.in_flight: Callable[[], int] = int
        self.elsewhere: Callable[[], Counts] = Counts
        self.work = Work()
        self.totals: Callable[[], Counts] = self.own
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def answered(self, route: str, status: int | str, seconds: float) -> None:
        """Count an answer by its status (over gRPC its code's name), and how long it took."""
        answers, key = self._answers, (route, status)
        answers[key] = answers.get(key, 0) + 1
        self._buckets[route][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[route] += seconds

    def refused(self, rule: Rule) -> None:
        """Count a refusal by the model."""
        self._refused[rule] += 1

    def started(self, phase: str, seconds: float) -> None:
        """Record how long a phase of the start took."""
        self._startup[phase] = seconds

    def own(self) -> Counts:
        """What this worker has counted."""
        answers: dict[str, dict[str, int]] = {}
        for (route, code), count in dict(self._answers).items():
            answers.setdefault(route, {})[str(code)] = count
        fed = self._feed.counts()
        found = Counts(
            answers,
            {route: list(counts) for route, counts in self._buckets.items()},
            dict(self._seconds),
            {rule.value: count for rule, count in self._refused.items()},
            dict(self._startup),
            self.rows,
            self.saturated,
            self.in_flight(),
            fed.sent,
            fed.dropped,
            work=self.work.copy(),
        )
        found.add(self.elsewhere())
        return found

    def render(self) -> bytes:
        """The counters as Prometheus text."""
        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterator[Metric]:
        """The counters as families of series."""
        who, found = self._identity, self.totals()
        requests = self._counter(contract.METRIC_REQUESTS, "Requests answered.", "route", "code")
        for route, codes in found.answers.items():
            for code, count in codes.items():
                requests.add_metric((*who, route, code), count)
        yield requests
        yield self._histogram(found)
        rows = self._counter(contract.METRIC_ROWS, "Rows predicted.")
        rows.add_metric(who, found.rows)
        yield rows
        refused = self._counter(contract.METRIC_REFUSED, "Requests that the model refused.", "rule")
        for rule, count in found.refused.items():
            refused.add_metric((*who, rule), count)
        yield refused
        saturated = self._counter(contract.METRIC_SATURATED, "Requests refused as too many.")
        saturated.add_metric(who, found.saturated)
        yield saturated
        in_flight = self._gauge(contract.METRIC_IN_FLIGHT, "Requests admitted and not answered.")
        in_flight.add_metric(who, found.in_flight)
        yield in_flight
        startup = self._gauge(contract.METRIC_STARTUP_SECONDS, "Seconds that each phase of the start took.", "phase")
        for phase, seconds in found.startup.items():
            startup.add_metric((*who, phase), seconds)
        yield startup
        replaced = self._counter(contract.METRIC_REPLACED, "Workers that died and were replaced.")
        replaced.add_metric(who, found.replaced)
        yield replaced
        fed = self._counter(contract.METRIC_FEED_RECORDS, "Records for the monitor, by what became of them.", "outcome")
        fed.add_metric((*who, "sent"), found.sent)
        fed.add_metric((*who, "dropped"), found.dropped)
        yield fed

    def _histogram(self, found: Counts) -> Metric:
        family = HistogramMetricFamily(
            contract.METRIC_SECONDS,
            "Time from the request's head to its answer.",
            labels=(*contract.IDENTITY_LABELS, "route"),
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for route, counts in found.buckets.items():
            buckets = list(zip(bounds, itertools.accumulate(counts), strict=True))
            family.add_metric((*self._identity, route), buckets, sum_value=found.seconds[route])
        return family

    def _counter(self, name: str, text: str, *more: str) -> CounterMetricFamily:
        return CounterMetricFamily(name.removesuffix("_total"), text, labels=(*contract.IDENTITY_LABELS, *more))

    def _gauge(self, name: str, text: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=(*contract.IDENTITY_LABELS, *more))
