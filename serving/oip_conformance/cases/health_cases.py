"""Health: told by the status alone."""

from oip_conformance.spec import REST, spec
from oip_conformance.target import Target


@spec(REST, "Health")
def test_live(target: Target) -> None:
    """A live server answers /v2/health/live with 200."""
    assert target.get("/v2/health/live").status == 200


@spec(REST, "Health")
def test_ready(target: Target) -> None:
    """A ready server answers /v2/health/ready with 200."""
    assert target.get("/v2/health/ready").status == 200


@spec(REST, "Health")
def test_model_ready(target: Target) -> None:
    """A ready model answers …/ready with 200."""
    assert target.get(f"{target.base}/ready").status == 200


@spec(REST, "Health")
def test_unknown_model_is_not_ready(target: Target) -> None:
    """A model that is not there is not ready: 4xx."""
    status = target.get("/v2/models/there-is-no-such-model/ready").status
    assert 400 <= status < 500, f"answered with {status}"
