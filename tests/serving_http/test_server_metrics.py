"""The counters are what was counted, in the form that scrapers read, and there from the start."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving import contract
from penstock_serving.protocol.rules import RULES, Rule
from penstock_serving.server.feed import Feed
from penstock_serving.server.metrics import ServerMetrics
from prometheus_client.parser import text_string_to_metric_families

WHO = ("m", "m-1", "sha256:0")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def made() -> ServerMetrics:
    return ServerMetrics(WHO, Feed(Path("/nowhere")))


def series(metrics: ServerMetrics) -> Series:
    families = text_string_to_metric_families(metrics.render().decode())
    identity = dict(zip(contract.IDENTITY_LABELS, WHO, strict=True))
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        assert identity.items() <= sample.labels.items()
        more = frozenset(item for item in sample.labels.items() if item[0] not in identity)
        found[sample.name, more] = sample.value
    return found


def of(found: Series, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_every_series_is_there_at_zero() -> None:
    found = series(made())
    for route in ("infer", "predict", "explain", "other"):
        assert of(found, contract.METRIC_REQUESTS, route=route, code="200") == 0
        assert of(found, contract.METRIC_SECONDS + "_count", route=route) == 0
    for rule in RULES:
        assert of(found, contract.METRIC_REFUSED, rule=rule.value) == 0
    for name in (contract.METRIC_ROWS, contract.METRIC_SATURATED, contract.METRIC_IN_FLIGHT):
        assert of(found, name) == 0


ANSWERS = st.lists(
    st.tuples(st.sampled_from(["infer", "predict"]), st.sampled_from([200, 400, 429, 418]), st.floats(0, 20))
)


@settings(deadline=None, max_examples=50)
@given(ANSWERS)
def test_answers_are_counted_by_route_code_and_time(answers: list[tuple[str, int, float]]) -> None:
    metrics = made()
    for answer in answers:
        metrics.answered(*answer)
    found = series(metrics)
    for route in ("infer", "predict"):
        times = [seconds for to, _, seconds in answers if to == route]
        assert of(found, contract.METRIC_SECONDS + "_count", route=route) == len(times)
        assert of(found, contract.METRIC_SECONDS + "_sum", route=route) == pytest.approx(sum(times))
        for bound in ("0.0005", "0.01", "1.0", "10.0"):
            within = sum(seconds <= float(bound) for seconds in times)
            assert of(found, contract.METRIC_SECONDS + "_bucket", route=route, le=bound) == within
        for code in {code for to, code, _ in answers if to == route}:
            count = sum((to, told) == (route, code) for to, told, _ in answers)
            assert of(found, contract.METRIC_REQUESTS, route=route, code=str(code)) == count


def test_the_rest_is_counted() -> None:
    metrics = made()
    metrics.refused(Rule.DATATYPE)
    metrics.rows += 7
    metrics.saturated += 1
    metrics.in_flight = lambda: 3
    metrics.started("load", 0.5)
    metrics.answered("grpc", "OK", 0.1)
    found = series(metrics)
    assert of(found, contract.METRIC_REFUSED, rule="datatype") == 1
    assert of(found, contract.METRIC_ROWS) == 7
    assert of(found, contract.METRIC_SATURATED) == 1
    assert of(found, contract.METRIC_IN_FLIGHT) == 3
    assert of(found, contract.METRIC_STARTUP_SECONDS, phase="load") == 0.5
    assert of(found, contract.METRIC_REQUESTS, route="grpc", code="OK") == 1
