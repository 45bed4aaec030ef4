"""What charts are made of: axes, dots, characters, words."""

import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from penstock.api.scalars import Duration, Share
from penstock.cli.chart.axis import TIMES, linear, logarithmic, round_steps, time_label, time_steps
from penstock.cli.chart.canvas import Canvas, framed
from penstock.cli.chart.charset import ASCII, UNICODE, Charset, charset_of, plain
from penstock.cli.planning.wording import count, duration, manifest_duration, manifest_share, percent, traffic


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [("utf-8", UNICODE), ("UTF-8", UNICODE), ("utf8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII)],
)
def test_braille_is_for_outputs_that_speak_unicode(encoding: str | None, charset: Charset) -> None:
    assert charset_of(encoding) is charset


@given(st.text())
def test_plain_text_is_ascii(text: str) -> None:
    assert plain(text).isascii()


def test_plain_text_keeps_its_meaning() -> None:
    assert plain("5× ≤ 10 – done…") == "5x <= 10 - done..."


@given(st.floats(0.001, 1e6), st.floats(1.001, 1e6), st.floats(0, 1))
def test_places_lie_between_0_and_1_in_the_order_of_values(low: float, factor: float, part: float) -> None:
    high = low * factor
    value = low + part * (high - low)
    for axis in (linear(low, high), logarithmic(low, high)):
        assert axis.place(low) == 0.0
        assert axis.place(high) == pytest.approx(1.0)
        assert 0.0 <= axis.place(value) <= 1.0 + 1e-9
        assert axis.place(high * 10) == pytest.approx(1.0)


def test_ticks_keep_their_distance() -> None:
    ticks = logarithmic(1.0, 86_400.0).ticks(TIMES, time_label, lambda _: 0.1)
    assert [tick.label for tick in ticks] == ["1 s", "5 s", "20 s", "2m", "10m", "1h", "6h", "1d"]
    assert all(b.place - a.place >= 0.1 for a, b in pairwise(ticks))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 12))
def test_round_steps_are_few_and_within(low: float, wide: float, most: int) -> None:
    steps = round_steps(low, low + wide, most)
    assert len(steps) <= most + 1
    assert all(low - 1e-6 * wide <= step <= low + wide + 1e-6 * wide for step in steps)


@given(st.floats(0, 1e9), st.floats(0.1, 1e9), st.integers(1, 12))
def test_times_are_counted_in_lengths_that_people_use(low: float, wide: float, most: int) -> None:
    steps = time_steps(low, low + wide, most)
    assert len(steps) <= most + 1
    if len(steps) > 1 and steps[1] - steps[0] < TIMES[-1]:
        assert any(steps[1] - steps[0] == pytest.approx(time) for time in TIMES)


@pytest.mark.parametrize(("charset", "shows"), [(UNICODE, [" ⡜", "⡜"]), (ASCII, [" :", ":"])])
def test_a_line_is_drawn_in_dots(charset: Charset, shows: list[str]) -> None:
    canvas = Canvas(2, 2, charset)
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "red")
    assert [line.plain.rstrip() for line in canvas.lines()] == shows


def test_every_dot_has_its_own_glyph() -> None:
    for charset in (UNICODE, ASCII):
        across, down = charset.dots
        assert len(charset.glyphs) == 2 ** (across * down)
        assert len(set(charset.glyphs)) == len(charset.glyphs)
    # the upper left dot and the lower right one, by Unicode's numbers for dots 1 and 8
    assert (UNICODE.glyphs[1], UNICODE.glyphs[128]) == ("⠁", "⢀")


@given(st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2)), max_size=6), st.integers(1, 30), st.integers(1, 12))
def test_no_drawing_leaves_its_frame(points: list[tuple[float, float]], columns: int, rows: int) -> None:
    canvas = Canvas(columns, rows, UNICODE)
    canvas.line(points, "red")
    canvas.write(-3, 0, "a long text that is cut off", "")
    canvas.across(0.5, "", " line ")
    canvas.down(0.5, "")
    lines = framed(canvas, 8, [], [])
    assert len(lines) == rows + 2
    assert all(len(line) <= columns + 8 for line in lines)


def test_a_dashed_line_hides_nothing_that_is_drawn() -> None:
    canvas = Canvas(10, 1, UNICODE)
    canvas.line([(0.0, 0.5), (0.4, 0.5)], "red")
    before = canvas.lines()[0].plain[:4]
    canvas.across(0.5, "", "")
    canvas.down(0.1, "")
    assert canvas.lines()[0].plain[:4] == before
    assert canvas.lines()[0].plain[-1] == UNICODE.dashed


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0.0, "0 s"), (0.2, "0.2 s"), (9.5, "9.5 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1m"), (100.0, "1m 40s"),
        (3_599.7, "1h"), (3_660.0, "1h 1m"), (86_399.0, "1d"), (86_400.0, "1d"), (90_000.0, "1d 1h"), (1e6, "11d 14h"),
    ],
)  # fmt: skip
def test_times_are_told_in_two_units(seconds: float, says: str) -> None:
    assert duration(seconds) == says


@given(st.floats(0.001, 1e8))
@example(61.0)
def test_a_duration_for_a_manifest_is_long_enough_and_readable_by_it(seconds: float) -> None:
    assert seconds <= Duration(manifest_duration(seconds)).seconds <= max(60.0 + seconds, 1.34 * seconds)


@given(st.sampled_from([0.001, 0.0025, 0.005, 0.01, 0.02, 0.5]))
def test_a_share_for_a_manifest_is_readable_by_it(part: float) -> None:
    assert Share(manifest_share(part)).fraction == pytest.approx(part)


@pytest.mark.parametrize(
    ("number", "says"),
    [(0, "0"), (8.6, "9"), (999, "999"), (999.6, "1,000"), (1_743, "1,740"), (99_949, "99,900"), (99_999, "100 k"),
     (150_280, "150 k"), (999_600, "1 M"), (2_145_161, "2.15 M"), (3e9, "3 G")],
)  # fmt: skip
def test_counts_are_told_with_three_digits(number: float, says: str) -> None:
    assert count(number) == says


@pytest.mark.parametrize(
    ("per_second", "says"),
    [(50, "50/s"), (20 / 60, "20/min"), (3 / 3600, "3/h"), (1 / 43_200, "2/d"), (25_000, "25k/s")],
)
def test_traffic_is_told_in_the_unit_that_reads_best(per_second: float, says: str) -> None:
    assert traffic(per_second) == says


def test_shares_are_told_with_three_digits() -> None:
    assert [percent(part) for part in (0.0, 0.00012345, 0.005, 0.0165, 1.0)] == [
        "0 %",
        "0.0123 %",
        "0.5 %",
        "1.65 %",
        "100 %",
    ]
    assert math.isclose(float(percent(0.1234)[:-2]), 12.3)
