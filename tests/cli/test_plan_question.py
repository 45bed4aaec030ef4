"""How traffic, shares and counts are written, and what is said of those that are not."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.cli.planning.question import (
    BadQuestionError,
    parse_base,
    parse_count,
    parse_releases,
    parse_traffic,
)

RAILS = ("failed", "refused", "slow")


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("50/s", 50.0),
        ("1200/min", 20.0),
        ("1200/m", 20.0),
        ("3/h", 3 / 3600),
        ("0.5/s", 0.5),
        ("2.5k/s", 2500.0),
        ("1M/day", 1e6 / 86400),
        (" 10 / s ", 10.0),
    ],
)
def test_traffic_is_requests_per_time(text: str, per_second: float) -> None:
    assert parse_traffic(text) == pytest.approx(per_second)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("50", "'50' is no traffic: write requests per time, like 50/s, 1200/min or 3/h"),
        ("fast", "'fast' is no traffic"),
        ("-5/s", "'-5/s' is no traffic"),
        ("1e3/s", "'1e3/s' is no traffic"),
        ("nan/s", "'nan/s' is no traffic"),
        ("50/fortnight", "no known unit of time: write /s, /min, /h or /d"),
        ("0/s", "without a request a day nothing can be judged"),
        ("99M/s", "is more than 10M/s"),
    ],
)
def test_other_traffic_is_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(BadQuestionError, match=says.replace("(", r"\(")):
        parse_traffic(text)


@given(st.decimals(min_value="0.0001", max_value="9999", places=4), st.sampled_from(["s", "min", "h"]))
def test_any_written_traffic_is_read_as_written(number: object, unit: str) -> None:
    seconds = {"s": 1.0, "min": 60.0, "h": 3600.0}[unit]
    rate = float(str(number)) / seconds
    if rate >= 1 / 86_400:
        assert parse_traffic(f"{number}/{unit}") == pytest.approx(rate)


def refusal(parse: Callable[[str], object], text: str) -> str | None:
    """What is said of the text; None when it is taken."""
    try:
        parse(text)
    except BadQuestionError as error:
        return str(error)
    return None


@given(st.text(max_size=20))
def test_every_text_is_taken_or_refused_with_a_remedy(text: str) -> None:
    for parse in (parse_traffic, lambda t: parse_base(t, RAILS), lambda t: parse_count(t, 10), parse_releases):
        says = refusal(parse, text)
        assert says is None or ": " in says


def test_one_share_is_that_of_every_guardrail() -> None:
    assert parse_base("0.5%", RAILS) == pytest.approx({"failed": 0.005, "refused": 0.005, "slow": 0.005})


def test_each_guardrail_may_have_its_own_share() -> None:
    text = "slow=5%, failed=0.5%,refused = 0%"
    assert parse_base(text, RAILS) == pytest.approx({"failed": 0.005, "refused": 0.0, "slow": 0.05})


@given(st.dictionaries(st.sampled_from(RAILS), st.integers(0, 9_999), min_size=3))
def test_shares_are_read_as_written(hundredths: dict[str, int]) -> None:
    text = ",".join(f"{name}={value // 100}.{value % 100:02d}%" for name, value in hundredths.items())
    assert parse_base(text, RAILS) == pytest.approx({name: value / 1e4 for name, value in hundredths.items()})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.005", "'0.005' is no share: write a percentage, like 0.5%"),
        ("-1%", "'-1%' is no share"),
        ("nan%", "'nan%' is no share"),
        ("100%", "is not below 100%: write stable's rate, like 0.5%"),
        ("failed=1%", "no share for 'refused': add refused=…%"),
        ("failed=1%,refused=1%,slow", "'slow' has no guardrail: write name=share, like failed=0.5%"),
        ("failed=1%,refused=1%,slw=1%", "'slw' is no guardrail of this release: did you mean slow"),
        (
            "failed=1%,refused=1%,drift=1%",
            "'drift' is no guardrail of this release: the manifest has failed, refused, slow",
        ),
        ("failed=1%,failed=1%", "'failed' occurs twice: give one share"),
        ("failed=,refused=1%,slow=1%", "'' is no share"),
    ],
)
def test_other_shares_are_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(BadQuestionError) as refused:
        parse_base(text, RAILS)
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["0", "11", "-1", "2.5", "", "٣", "1_0"])
def test_a_count_is_a_whole_number_within_limits(text: str) -> None:
    with pytest.raises(BadQuestionError, match="write a whole number from 1 to 10"):
        parse_count(text, 10)


def test_releases_a_year_may_be_few() -> None:
    assert parse_releases("0.5") == 0.5
    with pytest.raises(BadQuestionError, match="write a number above 0"):
        parse_releases("0")
