"""One table of gRPC's statuses: counts, Envoy's filter of bad ends and its repetitions say the same of each."""

import re
from dataclasses import replace

import pytest
from penstock.router.counters import Answer, first_try
from penstock.router.envoy.bands import Band
from penstock.router.envoy.listeners import GRPC_TYPES
from penstock.router.grpc_status import Meaning, fine, meaning, no_failures
from penstock.router.plan import Scope
from penstock.router.routing import Dialect

pytestmark = [pytest.mark.router, pytest.mark.xdist_group("router")]

ANSWER = Answer(
    attempt="1",
    hedged=False,
    by_shield=False,
    code=200,
    flags=frozenset(),
    refused=False,
    saturated=False,
    grpc=None,
    band=Band(0, 49),
)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("status", [*range(-1, 19), 99, -7])
def test_what_is_counted_is_what_is_repeated(dialect: Dialect, status: int) -> None:
    scope = Scope(1, 1_000, (), dialect)
    tally = first_try(replace(ANSWER, grpc=status), scope)
    assert (tally.failed > 0) == (status not in no_failures(dialect)) == (meaning(status, dialect) is Meaning.FAILED)
    assert (tally.failed + tally.refused + tally.saturated > 0) == (status not in fine(dialect))


def test_rest_has_no_status() -> None:
    assert {meaning(None, dialect) for dialect in Dialect} == {Meaning.FINE}


@pytest.mark.parametrize(
    ("kind", "is_grpc"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc-web", False),
        ("application/grpc-web+proto", False),
        ("application/grpcx", False),
        ("application/json", False),
    ],
)
def test_grpc_is_what_envoy_takes_for_it(kind: str, *, is_grpc: bool) -> None:
    assert (re.fullmatch(GRPC_TYPES, kind) is not None) == is_grpc
