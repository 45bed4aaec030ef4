"""`penstock replay`: recorded or made-up counters through the very judge that the operator runs."""

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from penstock.api import BadManifestError, load_rollout
from penstock.api.scalars import Duration, Share
from penstock.cli import counters
from penstock.cli.chart import draw_evidence
from penstock.cli.chart.series import EvidenceSeries
from penstock.cli.labels import LabelTrack
from penstock.judge.budget import SHARES
from penstock.judge.criteria import Criteria
from penstock.judge.labels.accuracy import AccuracyPlan
from penstock.judge.release import Release
from penstock.judge.state import UnreadableState, dump, resume
from penstock.judge.strata import Stratum
from penstock.judge.verdict import Decision, Verdict
from penstock.reconcile.criteria import criteria_of

DESCRIPTION = """\
Feed counters to the judge and print its verdicts as JSON Lines, one per release and closed stratum.

COUNTERS is JSON Lines; each row holds the counts of one interval alone:
  {"release": "r1", "t": 12.0, "router": "a", "version": 3, "arm": "stable", "weight": 5,
   "requests": 950, "failed": 3, "refused": 0, "slow": {"NAME": 12}}
arm is stable or candidate, t seconds, weight the candidate's percent. All but t, arm and requests may be absent; a
guardrail whose count is absent gets no evidence. In a sticky release the evidence is in
  "users": {"new": 40, "failed": 2, "refused": 0, "slow": {"NAME": 1}}
new: users first seen in the interval, the others: users first harmed in it. "pod" and "outage" may name the pod that a
row comes from, and the outage of a pod that its failures come from. Late labels come in
  "labels": {"cohort": 0, "predictions": 90, "n": 40, "lossSum": 6.0, "lossSumSq": 6.0}
cohort: the time of the predictions; n: labels that arrived in the interval, with the sums of their losses in [0, 1].
What they say is printed as "accuracy" and promotes nothing. See docs/statistics.md.
"""


@dataclass(slots=True)
class Track:
    """One release on its way through the file."""

    name: str
    release: Release
    labels: LabelTrack | None = None
    series: EvidenceSeries | None = None
    decisive: Verdict | None = None
    printed: int = 0
    faults: int = 0


@dataclass(slots=True)
class Session:
    """What a replay gathers: releases in order of appearance, and what could not be read."""

    criteria: Criteria
    accuracy: AccuracyPlan
    tracks: dict[str, Track] = field(default_factory=dict)
    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    def track(self, name: str) -> Track:
        """The release of that name, begun if need be."""
        if name not in self.tracks:
            self.tracks[name] = Track(name, Release(self.criteria))
        return self.tracks[name]


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "replay",
        help="feed counters to the judge and print its verdicts",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("spec", metavar="SPEC", type=Path, help="a ModelDeployment (YAML); its rollout matters")
    parser.add_argument("counters", metavar="COUNTERS", help="rows as JSON Lines; - is standard input")
    parser.add_argument(
        "--final",
        action="store_true",
        help="print only the first decisive verdict of each release, or else its last one",
    )
    parser.add_argument(
        "--reserve",
        metavar="KIND",
        action="append",
        choices=[kind for kind in SHARES if kind != "requests"],
        default=[],
        help="set aside the share of falseRollback that this other kind of evidence has "
        f"({', '.join(f'{kind} {share:.0%}' for kind, share in SHARES.items() if kind != 'requests')}); may be repeated",
    )
    parser.add_argument(
        "--label-ages",
        metavar="DURATIONS",
        default="1d,7d",
        help="ages at which labels are counted, rising; the last one is their maturity (default 1d,7d)",
    )
    parser.add_argument(
        "--tolerate-loss", metavar="SHARE", default="1%", help="rise of the mean loss that is no harm (default 1%%)"
    )
    parser.add_argument("--save", metavar="STATE", type=Path, help="leave the releases open and store their state")
    parser.add_argument("--resume", metavar="STATE", type=Path, help="go on from a stored state")
    parser.add_argument(
        "--chart",
        metavar="FILE",
        help="draw a release's evidence against its lines: a .png or .svg file, or - for the terminal (on stderr)",
    )
    parser.add_argument("--release", metavar="NAME", help="the release that --chart draws (default: the first)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay; 0 when every row was read, whatever the verdicts, 2 when spec, counters or state are unusable."""
    try:
        criteria = criteria_of(load_rollout(arguments.spec.read_text()), arguments.reserve)
        session = Session(criteria, _accuracy(criteria, arguments))
        if arguments.resume is not None:
            _resume(session, arguments.resume)
        with _opened(arguments.counters) as rows:
            _replay(session, rows, arguments, sys.stdout)
    except BadManifestError as error:
        print(f"penstock: {arguments.spec} is not usable:\n{error}", file=sys.stderr)
        return 2
    except _BadOption as error:
        print(f"penstock: {error}", file=sys.stderr)
        return 2
    except UnreadableState as error:
        print(f"penstock: {arguments.resume}: {error}; leave out --resume to start anew", file=sys.stderr)
        return 2
    except (OSError, UnicodeDecodeError) as error:
        print(f"penstock: {error}", file=sys.stderr)
        return 2
    if arguments.save is not None:
        stored = {track.name: base64.b64encode(dump(track.release)).decode() for track in session.tracks.values()}
        arguments.save.write_text(json.dumps(stored, indent=0) + "\n")
    _summarise(session)
    return _draw(session, arguments)


class _BadOption(ValueError):
    """An option's value that cannot be used; the message says which and what to write."""


def _accuracy(criteria: Criteria, arguments: argparse.Namespace) -> AccuracyPlan:
    try:
        ages = tuple(Duration.from_yaml(age.strip()).seconds for age in arguments.label_ages.split(","))
        tolerated = Share.from_yaml(arguments.tolerate_loss).fraction
        return AccuracyPlan(tolerated, SHARES["labels"] * criteria.false_rollback, criteria.missed_regression, ages)
    except ValueError as error:
        raise _BadOption(
            f"--label-ages {arguments.label_ages} or --tolerate-loss {arguments.tolerate_loss} is not usable ({error}); "
            "write for example --label-ages 1d,7d --tolerate-loss 1%"
        ) from None


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
    else:
        with Path(name).open(encoding="utf-8") as file:
            yield file


def _resume(session: Session, path: Path) -> None:
    try:
        stored = json.loads(path.read_text())
        for name, state in stored.items():
            session.tracks[name] = Track(name, resume(session.criteria, base64.b64decode(state)))
    except (ValueError, AttributeError, TypeError) as error:
        if isinstance(error, UnreadableState):
            raise
        raise UnreadableState(f"it holds no states of the judge ({error})") from error


def _replay(session: Session, rows: TextIO, arguments: argparse.Namespace, out: TextIO) -> None:
    for fields in counters.read(rows):
        session.rows += 1
        if isinstance(fields, str):
            session.unreadable[fields] += 1
            continue
        name = fields.get("release", "")
        if not isinstance(name, str) or len(name) > 256:
            session.unreadable["release is no text of at most 256 characters"] += 1
            continue
        track = session.track(name)
        if arguments.chart is not None and track.series is None and arguments.release in (None, name):
            charted = any(other.series is not None for other in session.tracks.values())
            track.series = None if charted else _series(session.criteria, name)
        if fields.get("labels") is not None:
            track.labels = track.labels or LabelTrack.begin(session.accuracy)
            problem = track.labels.feed(fields)
            if problem is not None:
                session.unreadable[problem] += 1
        if "requests" in fields or "labels" not in fields:
            _report(session, track, track.release.looks(fields), arguments, out)
    for track in session.tracks.values():
        if arguments.save is None:
            _report(session, track, track.release.finish(), arguments, out)
        if arguments.final:
            verdict = track.decisive if track.decisive is not None else track.release.verdict()
            print(counters.line(track.name, verdict, session.criteria, None, _labels(track)), file=out)
        elif track.printed == 0 or sum(track.release.faults.values()) != track.faults:
            print(counters.line(track.name, track.release.verdict(), session.criteria, None, _labels(track)), file=out)


def _report(
    session: Session, track: Track, looks: Iterator[Stratum], arguments: argparse.Namespace, out: TextIO
) -> None:
    for stratum in looks:
        if track.series is not None:
            _extend(track.series, track.release, stratum)
        if arguments.final:
            if track.decisive is None and track.release.decide(stratum.t)[0] in (Decision.PROMOTE, Decision.ROLLBACK):
                track.decisive = track.release.verdict()
            continue
        verdict = track.release.verdict()
        track.printed += 1
        track.faults = sum(track.release.faults.values())
        print(counters.line(track.name, verdict, session.criteria, stratum, _labels(track)), file=out)


def _labels(track: Track) -> dict[str, Any] | None:
    return None if track.labels is None else track.labels.facts()


def _series(criteria: Criteria, name: str) -> EvidenceSeries:
    names = [rail.name for rail in criteria.guardrails]
    return EvidenceSeries(
        release=name,
        t=[],
        log_evalue={rail: [] for rail in names},
        threshold=criteria.rollback_threshold,
        log_promotion={rail: [] for rail in names},
        threshold_promotion=criteria.promotion_threshold,
        weight=[],
        verdict_at=None,
        verdict="",
    )


def _extend(series: EvidenceSeries, release: Release, stratum: Stratum) -> None:
    series.t.append(float(stratum.t))
    series.weight.append(stratum.weight)
    for metric in release.metrics():
        series.log_evalue[metric.name].append(metric.log_evalue)
        series.log_promotion[metric.name].append(metric.log_evalue_promotion)


def _summarise(session: Session) -> None:
    decisions = Counter(str(track.release.decide(track.release.latest)[0]) for track in session.tracks.values())
    faults: Counter[str] = Counter()
    for track in session.tracks.values():
        faults.update(track.release.faults)
    parts = [f"{count} {decision}" for decision, count in sorted(decisions.items())]
    print(f"{session.rows:,} rows, {len(session.tracks):,} releases: {', '.join(parts) or 'none'}", file=sys.stderr)
    for text, count in sorted((session.unreadable + faults).items()):
        print(f"  {count:,} × {text}", file=sys.stderr)


def _draw(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.chart is None:
        return 0
    track = next((track for track in session.tracks.values() if track.series is not None), None)
    if track is None or track.series is None:
        print(f"penstock: no release {arguments.release!r} to draw", file=sys.stderr)
        return 2
    decision, _, _ = track.release.decide(track.release.latest)
    track.series.verdict = str(decision)
    if decision in (Decision.PROMOTE, Decision.ROLLBACK):
        track.series.verdict_at = float(track.release.latest)
    return draw_evidence(track.series, arguments.chart)
