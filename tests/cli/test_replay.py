"""The command `penstock replay`, as a person or a pipeline runs it."""

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from penstock.cli.main import main

Fields = dict[str, Any]
HEAD = "apiVersion: penstock.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: fraud}\nspec:\n  rollout: "
PLAIN = "{steps: [{weight: 50}], deadline: 2h, guardrails: [{name: failed, metric: failed}]}"
METRIC = {
    "name", "logEvalue", "threshold", "promotion", "tolerate", "stable", "candidate", "interval",
    "candidateRequestsToRollback", "requestsToPromotion",
}  # fmt: skip
LINE = {
    "release", "t", "verdict", "reason", "metric", "message", "logEvalue", "threshold", "requests", "metrics",
    "earliestPromotion", "faults",
}  # fmt: skip


def spec(folder: Path, rollout: str = PLAIN) -> str:
    """A manifest in a file."""
    path = folder / "fraud.yaml"
    path.write_text(HEAD + rollout + "\n")
    return str(path)


def row(t: float, arm: str, requests: int = 50, failed: int = 0, release: str = "r1", **more: Any) -> Fields:
    return {
        "release": release, "t": t, "router": "a", "version": 1, "arm": arm, "weight": 50, "requests": requests,
        "failed": failed, **more,
    }  # fmt: skip


def course(seconds: Iterable[int], failed: int = 0, release: str = "r1", **more: Any) -> list[Fields]:
    """Both arms, second by second; `failed` of the candidate's fifty requests fail."""
    return [
        fields
        for t in seconds
        for fields in (
            row(float(t), "stable", 50, 0, release, **more),
            row(float(t), "candidate", 50, failed, release, **more),
        )
    ]


def counters(folder: Path, rows: Iterable[Fields | str], name: str = "counters.jsonl") -> str:
    """Rows in a file; a text is a line as it stands."""
    path = folder / name
    path.write_text(
        "".join(f"{fields if isinstance(fields, str) else json.dumps(fields)}\n" for fields in rows), encoding="utf-8"
    )
    return str(path)


class Told:
    """What a run printed: verdicts, the bytes of them, and the summary."""

    def __init__(self, out: str, err: str) -> None:
        self.out, self.err = out, err
        self.lines: list[Fields] = [json.loads(line) for line in out.splitlines()]

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(line["verdict"], line["reason"]) for line in self.lines]


def replay(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Told:
    """Run it in this process."""
    assert main(["replay", *arguments]) == status
    printed = capsys.readouterr()
    return Told(printed.out, printed.err)


def test_a_line_is_printed_for_every_closed_stratum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(30))))
    assert [line["t"] for line in told.lines] == [float(t) for t in range(30)]
    for line in told.lines:
        assert set(line) == LINE | {"router", "version", "weight"}
        assert (line["release"], line["router"], line["version"], line["weight"]) == ("r1", "a", "1", 50.0)
        (metric,) = line["metrics"]
        assert set(metric) == METRIC
        assert metric["name"] == "failed"
        assert metric["stable"] == {"n": 50 * (int(line["t"]) + 1), "events": 0}
    assert told.words[0] == ("Hold", "Collecting")
    assert told.words[-1] == ("Promote", "HarmExcluded")
    assert told.err == "60 rows, 1 releases: 1 Promote\n"


def test_final_prints_the_first_decisive_verdict_or_else_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        *course(range(60), release="healthy"),
        *course(range(60), failed=25, release="harmful"),
        *course(range(3), release="short"),
        *course(range(60, 64), release="healthy", note="promoted before, doubtful now"),
        row(65.0, "stable", -1, release="healthy"),
    ]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows), "--final")
    assert [line["release"] for line in told.lines] == ["healthy", "harmful", "short"]
    healthy, harmful, short = told.lines
    assert [line["verdict"] for line in told.lines] == ["Promote", "Rollback", "Hold"]
    assert all(set(line) == LINE for line in told.lines)
    assert 5.0 < healthy["t"] < 30.0
    assert healthy["requests"] == {"stable": 50 * (int(healthy["t"]) + 1), "candidate": 50 * (int(healthy["t"]) + 1)}
    assert (harmful["t"], harmful["requests"]) == (0.0, {"stable": 50, "candidate": 50})
    assert harmful["message"].startswith("The candidate is worse on 'failed': 25 of 50 (50 %) against 0 of 50 (0 %)")
    assert short["t"] == 2.0
    assert told.err.startswith("255 rows, 3 releases: 1 Hold, 1 Promote, 1 Rollback\n")


def test_every_line_agrees_with_the_same_rows_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Releases that share a file do not know of each other."""
    each = {name: course(range(12), failed, name) for name, failed in (("a", 0), ("b", 3), ("c", 25))}
    mixed = [fields for group in zip(*each.values(), strict=True) for fields in group]
    together = replay(capsys, spec(tmp_path), counters(tmp_path, mixed))
    for name, rows in each.items():
        alone = replay(capsys, spec(tmp_path), counters(tmp_path, rows))
        assert [line for line in together.lines if line["release"] == name] == alone.lines


DOUBTFUL: list[tuple[str, Fields | str, str | None]] = [
    (
        "NaN",
        '{"release": "r1", "t": 99, "router": "a", "version": 1, "arm": "candidate", "requests": NaN}',
        "NotANumber",
    ),
    ("infinite", row(99.0, "candidate", failed=float("inf")) | {"weight": 50}, "NotANumber"),  # type: ignore[arg-type]
    ("negative", row(99.0, "candidate", -5), "Negative"),
    ("parts", row(99.0, "candidate") | {"requests": 2.5}, "NotWhole"),
    ("absurd", row(99.0, "candidate", 10**12), "Absurd"),
    ("more failures than requests", row(99.0, "candidate", 5, 6), "Absurd"),
    ("no requests", {"release": "r1", "t": 99.0, "arm": "candidate"}, "MissingCount"),
    ("no failures told", {k: v for k, v in row(99.0, "candidate").items() if k != "failed"}, "MissingCount"),
    ("another arm", row(99.0, "canary"), "Malformed"),
    ("text for a time", row(99.0, "candidate") | {"t": "noon"}, "Malformed"),
    ("time of another world", row(1e30, "candidate"), "Absurd"),
    ("a time before time", row(-3.0, "candidate"), "Negative"),
    ("a year ahead", row(3e7, "candidate"), "Absurd"),
    ("late", row(3.0, "candidate"), "Late"),
    ("half a letter", '{"release": "r1", "t": 99, "router": "\\ud800", "arm": "stable", "requests": 1}', "Malformed"),
    ("an endless number", '{"release": "r1", "t": 1' + "0" * 400 + ', "arm": "stable", "requests": 1}', "Absurd"),
    ("weights that contradict", row(99.25, "candidate") | {"weight": 25}, "ConflictingWeights"),
]


@pytest.mark.parametrize(("doubtful", "fault"), [(d, f) for _, d, f in DOUBTFUL], ids=[name for name, _, _ in DOUBTFUL])
def test_a_doubtful_row_is_named_and_withholds_a_promotion(
    doubtful: Fields | str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So soon before the end nothing is promoted any more; all other rows are as good as they were."""
    told = replay(capsys, spec(tmp_path), counters(tmp_path, [*course(range(100)), doubtful, *course(range(100, 105))]))
    last = told.lines[-1]
    assert (last["verdict"], last["reason"]) == ("Hold", "DoubtfulCounters")
    assert last["faults"][fault] >= 1
    assert f" × {fault}\n" in told.err
    assert fault in last["message"]


@pytest.mark.parametrize("candidate", [0, 25], ids=["healthy", "harmful"])
@pytest.mark.parametrize(
    "spoil",
    [{"failed": float("nan")}, {"failed": -1}, {"requests": -50}, {"failed": 10**15}, {"failed": None}, {"arm": 7}],
    ids=["NaN", "negative", "negative requests", "absurd", "missing", "no arm"],
)
def test_rows_that_cannot_be_used_never_decide(
    spoil: Fields, candidate: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arms in ({"stable"}, {"candidate"}, {"stable", "candidate"}):
        rows = [fields | spoil if fields["arm"] in arms else fields for fields in course(range(90), candidate)]
        told = replay(capsys, spec(tmp_path), counters(tmp_path, rows))
        assert {word for word, _ in told.words} == {"Hold"}
        assert sum(told.lines[-1]["faults"].values()) >= 90


def test_what_is_no_row_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[Fields | str] = [
        *course(range(10)),
        "",
        "{broken",
        "[1, 2]",
        '"text"',
        "[" * 100_000,
        '{"release": 7, "t": 1, "arm": "stable", "requests": 1}',
        '{"release": "\\ud800", "t": 1, "arm": "stable", "requests": 1}',
        f'{{"release": "{"x" * 1_100_000}"}}',
        "{broken again",
        *course(range(10, 40)),
    ]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows))
    assert told.words[-1] == ("Promote", "HarmExcluded")
    assert told.err.splitlines() == [
        "88 rows, 1 releases: 1 Promote",
        "  1 × a line is longer than 1,048,576 characters (first in line 28)",
        told.err.splitlines()[2],
        "  2 × a line is no JSON object (first in line 23)",
        "  2 × release is no text of at most 256 characters (first in line 26)",
    ]
    assert told.err.splitlines()[2].startswith("  3 × a line is no JSON (first in line 22: Expecting property name")


def test_bytes_that_are_no_text_spoil_their_line_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "counters.jsonl"
    lines = [json.dumps(fields).encode() for fields in course(range(40))]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join([*lines[:9], b"\xff\xfe{", *lines[9:]]) + b"\r\n")
    told = replay(capsys, spec(tmp_path), str(path))
    assert told.words[-1][0] == "Promote"
    assert "1 × a line is no JSON (first in line 10" in told.err


def test_harmless_faults_are_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [fields for fields in course(range(60)) for _ in range(2)]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows))
    assert told.lines[-1]["verdict"] == "Promote"
    assert told.lines[-1]["faults"] == {"Duplicate": 120}
    assert "  120 × Duplicate" in told.err


def test_a_release_that_says_nothing_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = replay(capsys, spec(tmp_path), counters(tmp_path, [row(1.0, "stable", 3)]))
    assert told.words == [("Hold", "NoCandidateTraffic")]
    assert replay(capsys, spec(tmp_path), counters(tmp_path, [])).err == "0 rows, 0 releases: none\n"


def labelled(rows: Iterable[Fields]) -> list[Fields]:
    """With labels of predictions made a day before, the candidate's losses larger."""
    found = []
    for fields in rows:
        found.append(fields)
        loss = 12.0 if fields["arm"] == "candidate" else 3.0
        labels = {"cohort": fields["t"], "predictions": 40, "n": 30, "lossSum": loss, "lossSumSq": loss}
        late = {"release": fields["release"], "t": fields["t"] + 20.0, "arm": fields["arm"], "labels": labels}
        found.append(late)
    return sorted(found, key=lambda fields: float(fields["t"]))


def random_rows() -> list[Fields]:
    chance = random.Random(5)
    rows = [
        fields
        for t in range(90)
        for release, harm in (("calm", 0), ("worse", 1), ("bad", 6), ("users", 0))
        for fields in course([t], chance.randint(0, harm), release, pod=f"p{t % 3}")
    ]
    for fields in rows:
        if chance.random() < 0.03:
            fields["failed"] = chance.choice([-1, 1e300, None, 10**6])
    rows = labelled(rows)
    for _ in range(20):
        rows.insert(chance.randrange(len(rows)), rows[chance.randrange(len(rows))])
    return rows


@pytest.mark.parametrize("mode", [(), ("--final",)], ids=["every stratum", "final"])
@pytest.mark.parametrize("share", [0.0, 0.07, 0.5, 0.93, 1.0])
def test_a_replay_resumed_in_the_middle_says_what_is_left_to_the_byte(
    share: float, mode: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = random_rows()
    cut, state = int(share * len(rows)), str(tmp_path / "state.json")
    options = (*mode, "--label-ages", "5s,25s")
    whole = replay(capsys, spec(tmp_path), counters(tmp_path, rows), *options)
    first = replay(capsys, spec(tmp_path), counters(tmp_path, rows[:cut], "first"), *options, "--save", state)
    rest = replay(capsys, spec(tmp_path), counters(tmp_path, rows[cut:], "rest"), *options, "--resume", state)
    assert whole.lines[-1]["accuracy"]["labels"]["candidate"] > 0
    assert rest.out == (whole.out if mode else whole.out.removeprefix(first.out))
    assert mode or first.out + rest.out == whole.out


def test_a_rollback_before_the_stop_is_final_after_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = str(tmp_path / "state.json")
    replay(capsys, spec(tmp_path), counters(tmp_path, course(range(5), 25)), "--save", state)
    told = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(5, 90))), "--resume", state, "--final")
    assert (told.lines[0]["t"], told.lines[0]["verdict"]) == (0.0, "Rollback")


def damage(text: str) -> dict[str, str]:
    stored = json.loads(text)
    return {
        "no JSON": text[:-20],
        "a list": "[]",
        "another version": json.dumps(stored | {"version": 99}),
        "no releases": json.dumps({"version": 1}),
        "no base64": text.replace('"judge": "', '"judge": "*'),
        "another state": text.replace('"judge": "UFNK', '"judge": "AAAA'),
        "no labels": text.replace('"labels": null', '"labels": [1]'),
        "nothing told": text.replace('"told"', '"tell"'),
    }


@pytest.mark.parametrize("kind", list(damage('{"version": 1, "releases": {}}')))
def test_state_that_is_unusable_is_refused_with_a_remedy(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state.json"
    replay(capsys, spec(tmp_path), counters(tmp_path, course(range(5))), "--save", str(state))
    state.write_text(damage(state.read_text())[kind])
    told = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(9))), "--resume", str(state), status=2)
    assert told.out == ""
    assert told.err.startswith(f"penstock: {state}: ")
    assert told.err.endswith("leave out --resume to start anew\n")


def test_state_of_another_contract_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, rows = str(tmp_path / "state.json"), counters(tmp_path, labelled(course(range(30))))
    replay(capsys, spec(tmp_path), rows, "--save", state)
    other = replay(capsys, spec(tmp_path), rows, "--resume", state, "--reserve", "labels", status=2)
    assert "other guardrails or error rates" in other.err
    ages = replay(capsys, spec(tmp_path), rows, "--resume", state, "--label-ages", "2d", status=2)
    assert "--label-ages" in ages.err


def test_a_state_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = counters(tmp_path, course(range(3)))
    told = replay(capsys, spec(tmp_path), rows, "--save", str(tmp_path / "nowhere" / "state.json"), status=2)
    assert "nowhere" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("reserved", "share"),
    [((), 1.0), (("brake",), 0.9), (("brake", "labels"), 0.8), (("brake", "labels", "others", "brake"), 0.7)],
)
def test_reserved_shares_raise_the_line(
    reserved: tuple[str, ...], share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for kind in reserved for word in ("--reserve", kind)]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(3))), *options)
    expected = -math.log(share * 0.01)
    assert told.lines[0]["threshold"] == pytest.approx(expected, abs=1e-6)


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["replay", spec(tmp_path), "-", "--reserve", "hunch"])
    assert left.value.code == 2
    assert "--reserve" in capsys.readouterr().err


def test_late_labels_are_told_as_accuracy_and_promote_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = labelled(course(range(120)))
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows), "--label-ages", "5s,25s")
    plain = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(120))))
    accuracy = told.lines[-1]["accuracy"]
    assert accuracy["labels"]["stable"] == accuracy["labels"]["candidate"] > 2_000
    assert accuracy["interval"][0] > 0.1
    assert set(accuracy["within"]) == {"logEvalue", "threshold"}
    assert accuracy["outcome"] in {"Worse", "Inconclusive"}
    assert [{k: v for k, v in line.items() if k != "accuracy"} for line in told.lines] == plain.lines


@pytest.mark.parametrize(
    "labels",
    [
        7,
        {"n": "many"},
        {"n": float("nan")},
        {"n": 10**400},
        {"predictions": 1.5},
        {"cohort": None},
        {"lossSum": True},
        {"n": -5, "predictions": 9},
        {"n": 3, "predictions": 9, "lossSum": 8.0},
        {"n": 10**200, "predictions": 10**200, "lossSum": 1e200, "lossSumSq": 1e200},
    ],
    ids=str,
)
def test_labels_that_cannot_be_used_are_named(
    labels: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*course(range(5)), {"release": "r1", "t": 4.0, "arm": "stable", "labels": labels}]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, [*rows, *course(range(5, 9))]))
    assert " × labels " in told.err or sum(told.lines[-1]["accuracy"]["refused"].values()) == 1


def test_a_time_that_no_clock_can_show_closes_no_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absurd = {"release": "r1", "t": 1e20, "arm": "stable", "labels": {"cohort": 1e20, "n": 1, "predictions": 1}}
    rows = labelled(course(range(120)))
    ages = ("--label-ages", "5s,25s")
    clean = replay(capsys, spec(tmp_path), counters(tmp_path, rows), *ages)
    told = replay(capsys, spec(tmp_path), counters(tmp_path, [*rows[:200], absurd, *rows[200:]]), *ages)
    assert told.out == clean.out
    assert "1 × labels come in a row whose t no clock can show (first in line 201)" in told.err


@pytest.mark.parametrize(
    "options",
    [("--label-ages", "soon"), ("--label-ages", "7d,1d"), ("--label-ages", ""), ("--tolerate-loss", "lots")],
    ids=str,
)
def test_options_that_are_unusable_are_refused_by_name(
    options: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = replay(capsys, spec(tmp_path), counters(tmp_path, []), *options, status=2)
    assert options[0] in told.err
    assert "write for example" in told.err


STICKY = "{stickiness: {header: x-user}, guardrails: [{name: failed, metric: failed}]}"


def test_a_sticky_release_is_judged_by_its_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def users(failed: int) -> list[Fields]:
        return [
            row(float(t), arm, 500, users={"new": 20, "failed": failed if arm == "candidate" else 0})
            for t in range(120)
            for arm in ("stable", "candidate")
        ]

    for failed, verdict in ((0, "Promote"), (8, "Rollback")):
        told = replay(capsys, spec(tmp_path, STICKY), counters(tmp_path, users(failed)), "--final")
        assert told.lines[0]["verdict"] == verdict
    without = replay(capsys, spec(tmp_path, STICKY), counters(tmp_path, course(range(90), 25)), "--final")
    assert without.words == [("Hold", "NoUserCounts")]


def test_slow_answers_are_counted_by_the_guardrails_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rollout = "{guardrails: [{name: p99, metric: latency, threshold: 50ms}]}"
    rows = [fields | {"slow": {"p99": 30 if fields["arm"] == "candidate" else 1}} for fields in course(range(200))]
    told = replay(capsys, spec(tmp_path, rollout), counters(tmp_path, rows), "--final")
    assert told.words == [("Rollback", "Worse")]
    other = [fields | {"slow": {"p95": 30}} for fields in course(range(60))]
    missing = replay(capsys, spec(tmp_path, rollout), counters(tmp_path, other), "--final")
    assert missing.words == [("Hold", "MissingCount")]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (HEAD + "{falseRollback: 60%}", "spec.rollout.falseRollback"),
        (HEAD + "{guardrails: [{name: a, metric: latency}]}", "threshold"),
        (HEAD + "{guardrails: [{name: a, metric: failed, tolerate: {ratio: '0.5'}}]}", "ratio"),
        (HEAD + "{stepz: []}", "spec.rollout.stepz"),
        ("{: broken", "YAML"),
        ("kind: Deployment\napiVersion: apps/v1\n", "ModelDeployment"),
        ("", "ModelDeployment"),
    ],
    ids=["rate", "no threshold", "ratio", "unknown field", "no YAML", "another kind", "empty"],
)
def test_a_spec_that_is_unusable_is_refused_with_field_and_remedy(
    written: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(written)
    told = replay(capsys, str(path), counters(tmp_path, course(range(3))), status=2)
    assert told.out == ""
    assert told.err.startswith(f"penstock: {path} is not usable:")
    assert says in told.err


@pytest.mark.parametrize("missing", ["spec", "counters", "state"])
def test_a_file_that_is_not_there_is_said(missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"spec": spec(tmp_path), "counters": counters(tmp_path, []), "state": str(tmp_path / "state")}
    replay(capsys, files["spec"], files["counters"], "--save", files["state"])
    Path(files[missing]).unlink()
    told = replay(capsys, files["spec"], files["counters"], "--resume", files["state"], status=2)
    assert files[missing] in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(("name", "magic"), [("evidence.png", b"\x89PNG"), ("evidence.svg", b"<?xml")])
@pytest.mark.parametrize("failed", [0, 25], ids=["promoted", "taken back"])
def test_the_evidence_is_drawn_in_a_file(
    name: str, magic: bytes, failed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = tmp_path / name
    rows = [*course(range(3), release="other"), *course(range(40), failed)]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows), "--chart", str(chart), "--release", "r1")
    assert chart.read_bytes().startswith(magic)
    assert told.lines


def test_the_evidence_is_drawn_on_the_terminal_beside_the_verdicts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = replay(capsys, spec(tmp_path), counters(tmp_path, course(range(40))), "--chart", "-")
    assert len(told.lines) == 40
    assert "r1" in told.err
    assert "failed" in told.err
    assert len(told.err.splitlines()) > 10


def test_the_first_release_is_drawn_and_a_short_one_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(0.0, "stable", 2, release="one"), *course(range(9), release="two")]
    told = replay(capsys, spec(tmp_path), counters(tmp_path, rows), "--chart", "-")
    assert "one" in told.err
    assert "two" not in told.err


@pytest.mark.parametrize(("chart", "says"), [("evidence.pdf", ".png or .svg"), ("nowhere/evidence.png", "no folder")])
def test_a_chart_that_cannot_be_drawn_is_refused_before_any_work(
    chart: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = counters(tmp_path, course(range(9)))
    told = replay(capsys, spec(tmp_path), rows, "--chart", str(tmp_path / chart), status=2)
    assert told.out == ""
    assert says in told.err


def test_a_release_that_is_not_there_cannot_be_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = counters(tmp_path, course(range(9)))
    told = replay(capsys, spec(tmp_path), rows, "--chart", "-", "--release", "r9", status=2)
    assert "no release 'r9' to draw" in told.err


# the peak of the program's own memory: what getrusage tells of a child holds its parent's, from before the exec
MEASURED = """
import pathlib, re, sys
from penstock.cli.main import main
status = main(sys.argv[2:])
told = pathlib.Path("/proc/self/status").read_text()
pathlib.Path(sys.argv[1]).write_text(re.search(r"VmHWM:\\s+(\\d+) kB", told)[1])
sys.exit(status)
"""
COMMAND = [str(Path(sys.executable).with_name("penstock"))]


def test_help_names_the_format_and_every_option() -> None:
    done = subprocess.run([*COMMAND, "replay", "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    for word in ("lossSumSq", "--final", "--reserve", "--resume", "labels 10%", "users"):
        assert word in done.stdout


def test_rows_come_from_standard_input_whatever_the_locale(tmp_path: Path) -> None:
    rows = "".join(f"{json.dumps(fields, ensure_ascii=False)}\n" for fields in course(range(4), 25, "größe"))
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*COMMAND, "replay", spec(tmp_path), "-", "--final"], input=rows.encode(), capture_output=True, timeout=120,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0
    (line,) = done.stdout.decode().splitlines()
    assert json.loads(line)["release"] == "größe"
    assert "1.5 × stable" in line


def test_a_reader_that_has_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    rows = counters(tmp_path, course(range(1_500)))
    with subprocess.Popen(
        [*COMMAND, "replay", spec(tmp_path), rows], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        said = process.stderr.read()
        status = process.wait(timeout=120)
    assert (said, status) == (b"", 141)


def test_a_verdict_is_out_as_soon_as_its_stratum_has_closed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "replay", spec(tmp_path), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for fields in course(range(2), 25):
            process.stdin.write(json.dumps(fields).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["verdict"] == "Rollback"
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(timeout=120) == 0


def test_thousands_of_releases_stream_through_in_bounded_memory(tmp_path: Path) -> None:
    rows = (
        fields
        for release in range(3_000)
        for fields in (row(0.0, "stable"), row(0.0, "candidate", failed=release % 2 * 25))
    )
    source = counters(tmp_path, (fields | {"release": f"r{i // 2}"} for i, fields in enumerate(rows)))
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, "-c", MEASURED, str(tmp_path / "peak"), "replay", spec(tmp_path), source]
        subprocess.run(command, stdout=out, stderr=err, check=True)
    verdicts = [json.loads(line)["verdict"] for line in (tmp_path / "out").read_text().splitlines()]
    assert verdicts == ["Hold", "Rollback"] * 1_500
    assert (tmp_path / "err").read_text() == "6,000 rows, 3,000 releases: 1500 Hold, 1500 Rollback\n"
    assert int((tmp_path / "peak").read_text()) < 250 * 1_024
