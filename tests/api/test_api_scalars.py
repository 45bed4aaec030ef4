"""Scalars keep what was written and know what it is worth."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.api.scalars import Duration, Quantity, Ratio, Share, ShareOrAuto, Size, Timeout

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    duration = Duration("".join(f"{count}{unit}" for count, unit in parts))
    assert duration.milliseconds == sum(count * UNITS[unit] for count, unit in parts)
    assert duration.timedelta.total_seconds() == pytest.approx(duration.seconds)


@given(st.integers(0, 100), st.integers(0, 999_999))
def test_a_share_is_a_hundredth_of_its_number(whole: int, millionths: int) -> None:
    share = Share(f"{whole}.{millionths:06}%")
    assert share.fraction == pytest.approx((whole + millionths / 1e6) / 100)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"), ("2", "2"), ("1.5Gi", str(3 * 2**29)), ("1k", "1000"), ("3M", "3000000"), ("1Ki", "1024"),
        ("2P", "2000000000000000"), ("1Pi", str(2**50)), ("1e3", "1000"), ("1E-1", "0.1"), (".5", "0.5"), ("+5.", "5"),
        ("3u", "0.000003"),
    ],
)  # fmt: skip
def test_a_quantity_is_worth_its_number_times_its_suffix(text: str, value: str) -> None:
    assert Quantity(text).value == Decimal(value)


def test_sizes_are_in_bytes() -> None:
    assert [Size(text).bytes for text in ("3Ki", "1Mi", "2Gi")] == [3 * 1024, 1024**2, 2 * 1024**3]


def test_auto_is_no_number() -> None:
    assert ShareOrAuto("auto").is_auto
    assert not ShareOrAuto("1%").is_auto
    with pytest.raises(ValueError, match="auto is no number"):
        _ = ShareOrAuto("auto").fraction


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Duration, ""), (Duration, "5"), (Duration, "5 m"), (Duration, "-5m"), (Duration, "1w"), (Duration, "5m\n"),
        (Duration, "1" * 19 + "ms"), (Timeout, "1d"), (Share, "1"), (Share, "0.01"), (Share, "1 %"), (Share, "-1%"),
        (Ratio, "0.5"), (Ratio, "-1"), (Ratio, "999m"), (Ratio, "101"), (Ratio, "nan"), (Quantity, "-1"), (Quantity, "1 Gi"),
        (Quantity, "1K"), (Quantity, "."), (Quantity, "1e"), (Size, "1M"), (Size, "1.5Mi"),
    ],
)  # fmt: skip
def test_other_forms_are_refused_by_naming_the_right_one(kind: type[Duration], text: str) -> None:
    with pytest.raises(ValueError, match=r"written like|is a percentage|from 1 to 100"):
        kind(text)


@pytest.mark.parametrize(("value", "kept"), [(1, "1"), (2, "2"), (1.5, "1.5"), ("1.25", "1.25")])
def test_a_ratio_may_be_a_bare_number(value: object, kept: str) -> None:
    assert Ratio.from_yaml(value) == kept
