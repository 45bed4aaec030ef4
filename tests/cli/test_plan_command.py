"""The command `penstock plan`, as a person or a pipeline runs it."""

import argparse
import io
import json
from pathlib import Path

import pytest
from penstock.cli import plan as command
from penstock.cli.planning import advice, planner, regressions

HEAD = "apiVersion: penstock.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: fraud}\n"
TRAFFIC = ["--traffic", "200/s", "--base-error", "0.5%"]


@pytest.fixture(autouse=True)
def _few_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    for room, name, few in (
        (planner, "RELEASES", 40),
        (planner, "FEWER", 20),
        (planner, "EFFORT", 500),
        (planner, "CURVE_EFFORT", 1),
        (regressions, "CURVE", 3),
        (advice, "TRIAL", 40),
    ):
        monkeypatch.setattr(room, name, few)


def run(*arguments: str) -> int:
    """Run the subcommand as `main` does."""
    parser = argparse.ArgumentParser(prog="penstock")
    command.add_parser(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["plan", *arguments])
    status: int = parsed.run(parsed)
    return status


def spec(folder: Path, rollout: str = "{steps: [{weight: 50}], deadline: 20m}", more: str = "") -> str:
    """A manifest in a file."""
    path = folder / "fraud.yaml"
    path.write_text(f"{HEAD}spec:\n  rollout: {rollout}\n{more}")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """The object that a plan prints."""
    assert run(*arguments, "--json") == 0
    loaded: dict[str, object] = json.loads(capsys.readouterr().out)
    return loaded


def test_a_plan_is_a_report_and_charts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "plan.svg"
    assert run(spec(tmp_path), *TRAFFIC, "--chart", str(chart), "--models", "10", "--releases-a-year", "12") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for expected in (
        "Plan of a release of fraud",
        "200/s through 2 routers; stable's rates: failed, refused 0.5 %",
        "Steps, for a candidate as good as stable",
        "Regressions of failed or refused",
        "Points on every guardrail",
        "A fleet of 10 models with 12 releases a year each: at most 1.2 false",
        "Time to a rollback by the candidate's rate",
    ):
        assert expected in printed.out
    assert chart.read_bytes().startswith(b"<?xml")


def test_a_plan_is_one_object_for_a_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = told(capsys, spec(tmp_path), *TRAFFIC)
    assert plan["name"] == "fraud"
    assert plan["requestsPerSecond"] == 200.0
    assert plan["promotion"]["beforeDeadline"] == 1.0  # type: ignore[index]
    assert plan["warnings"] == []


def test_the_same_question_has_the_same_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, spec(tmp_path), *TRAFFIC) == told(capsys, spec(tmp_path), *TRAFFIC)


def test_a_manifest_may_come_through_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{HEAD}spec: {{rollout: {{steps: [{{weight: 50}}]}}}}\n"))
    assert told(capsys, "-", *TRAFFIC)["name"] == "fraud"


def test_without_shield_the_report_says_who_feels_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(spec(tmp_path, more="  traffic: {idempotent: false}\n"), *TRAFFIC) == 0
    assert "Callers feel each bad answer until then: spec.traffic.idempotent is false" in capsys.readouterr().out


LATENCY = "guardrails: [{name: slow, metric: latency, threshold: 50ms}]"


@pytest.mark.parametrize(
    ("rollout", "arguments", "says", "remedies"),
    [
        (
            "{steps: [{weight: 50}], deadline: 1m, guardrails: [{name: failed, metric: failed}]}",
            ("--traffic", "20/s", "--base-error", "0.5%"),
            "promoted before the deadline of 1m.",
            ["points: ", "deadline: ", "traffic of "],
        ),
        (
            "{steps: [{weight: 1}], deadline: 5m, guardrails: [{name: failed, metric: failed}]}",
            ("--traffic", "100/s", "--base-error", "0.5%"),
            "promoted before the deadline of 5m.",
            ["a last step of {weight: 50}", "deadline: ", "traffic of "],
        ),
        (
            "{steps: [{weight: 1}, {weight: 50}], deadline: 5m, guardrails: [{name: failed, metric: failed}]}",
            ("--traffic", "12/s", "--base-error", "0%"),
            "No release gets beyond the step of 1 % before the deadline of 5m.",
            ["steps: [{weight: 50}]", "deadline: ", "traffic of "],
        ),
        (
            f"{{steps: [{{weight: 25}}], deadline: 10m, {LATENCY}}}",
            ("--traffic", "200/s", "--base-error", "5%"),
            "No candidate is ever promoted: slow is judged by strata",
            ["end the steps with {weight: 50}", "set evidence: Requests on slow"],
        ),
        (
            "{steps: [{weight: 100}], deadline: 10m, guardrails: [{name: failed, metric: failed}]}",
            ("--traffic", "200/s", "--base-error", "0.5%"),
            "No candidate is ever promoted: with all traffic on it nothing is left to compare with.",
            ["put steps before it, such as {weight: 50}"],
        ),
        (
            "{steps: [{weight: 50}], deadline: 10m, guardrails: [{name: failed, metric: failed, tolerate: {ratio: 3}}]}",
            ("--traffic", "200/s", "--base-error", "40%"),
            "Nothing is harm on failed: 3 × 40 % and 0% points allow every rate.",
            ["a smaller ratio, or a threshold that stable misses more rarely, for failed"],
        ),
    ],
)
def test_what_is_not_decidable_is_warned_of_with_what_would_be(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rollout: str,
    arguments: tuple[str, ...],
    says: str,
    remedies: list[str],
) -> None:
    warnings = told(capsys, spec(tmp_path, rollout), *arguments)["warnings"]
    assert isinstance(warnings, list)
    found = next(warning for warning in warnings if says in warning["says"])
    for remedy in remedies:
        assert any(remedy in offered for offered in found["decidableInstead"]), (remedy, found)


def test_a_remedy_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guardrails = "guardrails: [{name: failed, metric: failed}]"
    plan = told(
        capsys, spec(tmp_path, f"{{steps: [{{weight: 50}}], deadline: 1m, {guardrails}}}"),
        "--traffic", "20/s", "--base-error", "0.5%",
    )  # fmt: skip
    offered = plan["warnings"][0]["decidableInstead"]  # type: ignore[index]
    deadline = next(remedy for remedy in offered if remedy.startswith("deadline: "))
    after = told(
        capsys, spec(tmp_path, f"{{steps: [{{weight: 50}}], {deadline}, {guardrails}}}"),
        "--traffic", "20/s", "--base-error", "0.5%",
    )  # fmt: skip
    assert after["warnings"] == []


def test_auto_points_that_are_not_decidable_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rollout = "{deadline: 3h, guardrails: [{name: failed, metric: failed, tolerate: {ratio: '1.5', points: auto}}]}"
    plan = told(capsys, spec(tmp_path, rollout), "--traffic", "3/s", "--base-error", "0.5%")
    assert plan["guardrails"][0]["tolerate"]["pointsAuto"] is True  # type: ignore[index]
    assert plan["warnings"] != []


REFUSED = [
    (
        ["--traffic", "lots", "--base-error", "1%"],
        "--traffic: 'lots' is no traffic: write requests per time, like 50/s",
    ),
    (["--traffic", "5/s", "--base-error", "1"], "--base-error: '1' is no share: write a percentage, like 0.5%"),
    (["--traffic", "5/s", "--base-error", "failed=1%"], "--base-error: no share for 'refused': add refused=…%"),
    ([*TRAFFIC, "--routers", "0"], "--routers: '0' does not fit: write a whole number from 1 to 100"),
    ([*TRAFFIC, "--models", "x", "--releases-a-year", "1"], "--models: 'x' does not fit: write a whole number"),
    ([*TRAFFIC, "--models", "1", "--releases-a-year", "-1"], "--releases-a-year: '-1' does not fit: write a number"),
    ([*TRAFFIC, "--models", "1"], "--models needs --releases-a-year too"),
    ([*TRAFFIC, "--releases-a-year", "1"], "--releases-a-year is of each model: add --models"),
    ([*TRAFFIC, "--chart", "plan.pdf"], "--chart: 'plan.pdf' is no picture: end the file's name in .png or .svg"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_an_option_that_cannot_be_is_refused_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(spec(tmp_path), *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"penstock: {says}")


@pytest.mark.parametrize(
    ("rollout", "says"),
    [
        ("{falseRollback: 50%}", "spec.rollout.falseRollback: falseRollback must be above 0% and at most 20%"),
        (
            "{strategy: Immediate}",
            "spec.rollout.strategy: Immediate sends everything at once and compares nothing: set Canary",
        ),
        ("{stickiness: {header: x-user-id}}", "spec.rollout.stickiness: a sticky release is judged by users"),
        ("{stepss: []}", "spec.rollout.stepss: unknown field: did you mean steps?"),
    ],
)
def test_a_manifest_that_cannot_be_planned_is_refused_with_its_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rollout: str, says: str
) -> None:
    assert run(spec(tmp_path, rollout), *TRAFFIC) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none.yaml"), *TRAFFIC) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(spec(tmp_path), *TRAFFIC, "--chart", str(tmp_path / "none" / "plan.png")) == 2
    assert "has no folder to go to" in capsys.readouterr().err


def test_a_person_sees_what_is_being_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"  # type: ignore[assignment]

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with command._progress() as progress:
        progress("failed 10 %", 3, 12)
    assert "simulating failed 10 %" in terminal.getvalue()
