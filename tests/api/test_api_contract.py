"""What is written down in more than one place, because one of them must not load the other, is the same everywhere."""

import pytest
from penstock.api import contract
from penstock.api.reasons import Reason
from penstock.judge.verdict import Reason as ReasonOfJudge
from penstock.router import contract as of_routers
from penstock_serving import contract as of_servers

CONSTANTS = sorted(name for name in vars(contract) if name.isupper())


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_of_the_contract_is_the_same_on_the_other_side(name: str) -> None:
    others = [getattr(side, name) for side in (of_servers, of_routers) if hasattr(side, name)]
    assert others, "nobody else knows it"
    assert {getattr(contract, name)} == set(others)


def test_every_reason_of_the_judge_is_published() -> None:
    assert {reason.value for reason in ReasonOfJudge} <= {reason.value for reason in Reason}


def test_every_reason_of_a_model_server_is_published() -> None:
    given = {value for name, value in vars(of_servers).items() if name.startswith("REASON_")}
    assert given
    assert given <= {reason.value for reason in Reason}
