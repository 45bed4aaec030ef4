"""The evidence of a release over time, drawn."""

import io
import math
from pathlib import Path

import pytest
from penstock.cli.chart import draw_evidence, evidence_terminal, print_evidence
from penstock.cli.chart.charset import ASCII, UNICODE
from penstock.cli.chart.series import EvidenceSeries
from rich.console import Console

GOLDEN = Path(__file__).parent / "golden"


def series(**changes: object) -> EvidenceSeries:
    """A release whose failures begin half-way and that is taken back."""
    t = [float(10 * i) for i in range(61)]
    fields = {
        "release": "fraud-7f9c",
        "t": t,
        "log_evalue": {
            "failed": [-0.01 * s if s < 300 else -3.0 + 0.03 * (s - 300) for s in t],
            "slow": [-0.02 * s + math.sin(s / 20) for s in t],
        },
        "threshold": math.log(200.0),
        "log_promotion": {"failed": [0.012 * min(s, 300.0) for s in t], "slow": [0.0 for _ in t]},
        "threshold_promotion": math.log(100.0),
        "weight": [0.01 if s < 100 else 0.05 if s < 250 else 0.25 for s in t],
        "verdict_at": 580.0,
        "verdict": "Rollback",
    } | changes
    return EvidenceSeries(**fields)  # type: ignore[arg-type]


EMPTY = series(
    t=[], weight=[], log_evalue={"failed": []}, log_promotion={"failed": []}, verdict_at=None, verdict="Hold"
)
ONE_LOOK = series(
    t=[5.0],
    weight=[0.5],
    log_evalue={"failed": [0.1]},
    log_promotion={"failed": [-1e6]},
    verdict_at=None,
    verdict="Hold",
)
FAR_OUT = series(log_evalue={"failed": [-1e6 if i % 2 else 575.0 for i in range(61)], "slow": [0.0] * 61})
MANY = series(
    log_evalue={f"guardrail-{i:02d}": [0.0] * 61 for i in range(10)},
    log_promotion={f"guardrail-{i:02d}": [0.0] * 61 for i in range(10)},
)


def drawn(of: EvidenceSeries, width: int, charset: object = UNICODE) -> str:
    """The chart as text."""
    lines = evidence_terminal.draw(of, width, charset)  # type: ignore[arg-type]
    return "\n".join(line.plain.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize(("name", "charset"), [("evidence-80", UNICODE), ("evidence-ascii", ASCII)])
def test_the_chart_is_as_it_was_looked_at(name: str, charset: object) -> None:
    assert drawn(series(), 80, charset) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("of", [series(), EMPTY, ONE_LOOK, FAR_OUT, MANY])
@pytest.mark.parametrize("width", [50, 80, 200])
def test_every_series_fits_the_width(of: EvidenceSeries, width: int) -> None:
    assert max(len(line) for line in drawn(of, width).splitlines()) <= width
    assert drawn(of, width, ASCII).isascii()


def test_the_chart_names_guardrails_lines_and_verdict() -> None:
    text = drawn(series(), 100)
    for expected in (
        "fraud-7f9c: Rollback after 9m 40s",
        "rolled back at 200",
        "each must reach 100",
        "failed",
        "slow",
    ):
        assert expected in text


def test_time_counts_from_the_first_look() -> None:
    later = series(t=[1.7e9 + 10 * i for i in range(61)], verdict_at=1.7e9 + 580.0)
    assert drawn(later, 80) == drawn(series(), 80)


def test_without_evidence_the_chart_says_so() -> None:
    assert drawn(EMPTY, 80) == "fraud-7f9c: Hold\nNo stratum has closed yet.\n"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weight": [0.1]}, "weight has 1 values for 61 looks: give one for each"),
        ({"log_evalue": {"failed": []}}, r"log_evalue\[failed\] has 0 values for 61 looks"),
        ({"t": [float(-i) for i in range(61)]}, "t falls: give the looks in the order of time"),
    ],
)
def test_a_series_that_does_not_fit_together_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        drawn(series(**changes), 80)


@pytest.mark.parametrize("of", [series(), EMPTY, ONE_LOOK, FAR_OUT, MANY])
@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_chart_goes_to_a_file(tmp_path: Path, of: EvidenceSeries, suffix: str, begins: bytes) -> None:
    path = tmp_path / f"evidence.{suffix}"
    assert draw_evidence(of, str(path)) == 0
    assert path.read_bytes().startswith(begins)


def test_the_same_series_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_evidence(series(), str(tmp_path / name))
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_dash_draws_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_evidence(series(), "-") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "Evidence of harm" in told.err


def test_as_wide_as_the_console() -> None:
    console = Console(file=io.StringIO(), width=64)
    print_evidence(series(), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert 55 < max(len(line) for line in lines) <= 64


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("chart.pdf", "'chart.pdf' is no picture: end the file's name in .png or .svg"),
        ("nowhere/chart.png", "'nowhere/chart.png' has no folder to go to: make nowhere first"),
    ],
)
def test_a_file_that_cannot_be_is_refused(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_evidence(series(), name) == 2
    assert capsys.readouterr().err == f"penstock: --chart: {says}\n"


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chart.png").mkdir()
    assert draw_evidence(series(), str(tmp_path / "chart.png")) == 2
    assert "is a folder: write the name of a file in it" in capsys.readouterr().err


def test_without_matplotlib_the_message_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("penstock.cli.chart.target.find_spec", lambda _: None)
    assert draw_evidence(series(), str(tmp_path / "chart.png")) == 2
    assert "run pip install 'penstock[chart]'" in capsys.readouterr().err
