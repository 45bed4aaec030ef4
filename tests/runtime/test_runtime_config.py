"""The environment is read whole or refused with the variable's name."""

import pytest
from penstock.runtime.config import BadConfigError, read_config

LEAST = {
    "PENSTOCK_SERVING_IMAGE": "penstock/serving:1.0",
    "PENSTOCK_ROUTER_IMAGE": "penstock/router:1.0",
    "PENSTOCK_AGENT_IMAGE": "penstock/operator:1.0",
    "PENSTOCK_NAMESPACE": "penstock-system",
}


def test_what_is_left_out_has_its_usual_value() -> None:
    config = read_config(LEAST)
    assert (config.namespaces, config.port, config.agent_port, config.look_every) == ((), 8080, 9100, 0.25)
    assert config.defaults.operator_namespace == "penstock-system"


def test_everything_can_be_set() -> None:
    config = read_config(
        LEAST | {"PENSTOCK_NAMESPACES": "risk, fraud,", "PENSTOCK_PORT": "1", "PENSTOCK_RESYNC_SECONDS": "0.5"}
    )
    assert (config.namespaces, config.port, config.resync_every) == (("risk", "fraud"), 1, 0.5)


@pytest.mark.parametrize("missing", LEAST)
def test_what_is_needed_is_named_when_it_is_missing(missing: str) -> None:
    with pytest.raises(BadConfigError, match=f"{missing} is not set"):
        read_config({name: text for name, text in LEAST.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PENSTOCK_PORT", "0"),
        ("PENSTOCK_PORT", "http"),
        ("PENSTOCK_AGENT_PORT", "65536"),
        ("PENSTOCK_WORKERS", "0"),
        ("PENSTOCK_LOOK_SECONDS", "0"),
        ("PENSTOCK_LOOK_SECONDS", "nan"),
        ("PENSTOCK_RESYNC_SECONDS", "often"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadConfigError, match=f"{name} is '{text}'"):
        read_config(LEAST | {name: text})
