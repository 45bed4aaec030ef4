"""`penstock replay`: recorded or made-up counters through the very judge that the operator runs."""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from penstock.api import BadManifestError, load_rollout
from penstock.api.scalars import Duration, Share
from penstock.cli import counters, saved
from penstock.cli.chart import TERMINAL, UnusableTargetError, draw_evidence, usable
from penstock.cli.chart.series import EvidenceSeries
from penstock.cli.labels import LabelTrack
from penstock.judge.budget import SHARES
from penstock.judge.criteria import Criteria
from penstock.judge.labels.accuracy import AccuracyPlan
from penstock.judge.release import Release
from penstock.judge.rows import encodes
from penstock.judge.state import UnreadableState
from penstock.judge.strata import Stratum
from penstock.judge.verdict import Decision, per_metric_threshold
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


BAD_INPUT = 2
LONGEST_NAME = 256
DECISIVE = (Decision.PROMOTE, Decision.ROLLBACK)


@dataclass(slots=True)
class Track:
    """One release on its way through the file: its judges, the first decisive verdict, and what was printed of it."""

    name: str
    release: Release
    labels: LabelTrack | None = None
    series: EvidenceSeries | None = None
    decisive: dict[str, Any] | None = None
    printed: int = 0
    faults: int = 0


@dataclass(slots=True)
class Session:
    """What a replay gathers: releases in order of appearance, the one to draw, and what could not be read.

    `unreadable` counts what was wrong with lines and rows, and tells of the first where it was.
    """

    criteria: Criteria
    accuracy: AccuracyPlan
    tracks: dict[str, Track] = field(default_factory=dict)
    drawn: EvidenceSeries | None = None
    rows: int = 0
    unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)

    def track(self, name: str) -> Track:
        """The release of that name, begun if need be."""
        if name not in self.tracks:
            self.tracks[name] = Track(name, Release(self.criteria))
        return self.tracks[name]

    def name(self, what: str, line: int, detail: str = "") -> None:
        """Something cannot be used; the first of its kind is told with its line."""
        count, first = self.unreadable.get(what, (0, f"line {line}: {detail}" if detail else f"line {line}"))
        self.unreadable[what] = count + 1, first


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
        f"({', '.join(f'{kind} {share:.0%}%' for kind, share in SHARES.items() if kind != 'requests')}); may be repeated",
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
    parser.add_argument(
        "--save",
        metavar="STATE",
        type=Path,
        help="leave the releases open, without their last words, and store their state",
    )
    parser.add_argument("--resume", metavar="STATE", type=Path, help="go on from a stored state")
    parser.add_argument(
        "--chart",
        metavar="FILE",
        help="draw a release's evidence against its lines: a .png or .svg file, or - for the terminal (on stderr)",
    )
    parser.add_argument("--release", metavar="NAME", help="the release that --chart draws (default: the first)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay; 0 whatever the verdicts, 2 when spec, options, counters or state are unusable. Rows that are not are named."""
    try:
        if arguments.chart not in (None, TERMINAL):
            usable(arguments.chart)
        criteria = criteria_of(load_rollout(arguments.spec.read_text(encoding="utf-8")), arguments.reserve)
        session = Session(criteria, _accuracy(criteria, arguments))
        if arguments.resume is not None:
            for name, kept in saved.read(arguments.resume, criteria, session.accuracy).items():
                session.tracks[name] = Track(
                    name, kept.release, kept.labels, None, kept.decisive, kept.printed, kept.faults
                )
        with _opened(arguments.counters) as rows:
            _replay(session, rows, arguments, _prompt(_utf8(sys.stdout)))
        if arguments.save is not None:
            saved.write(arguments.save, {name: _kept(track) for name, track in session.tracks.items()})
    except BadManifestError as error:
        return _refuse(f"{arguments.spec} is not usable:\n{error}")
    except UnusableTargetError as error:
        return _refuse(f"--chart: {error}")
    except UnreadableState as error:
        return _refuse(f"{arguments.resume}: {error}; leave out --resume to start anew")
    except BrokenPipeError:
        raise
    except (_BadOption, OSError, UnicodeDecodeError) as error:
        return _refuse(str(error))
    _summarise(session)
    return _draw(session, arguments)


def _refuse(says: str) -> int:
    print(f"penstock: {says}", file=sys.stderr)
    return BAD_INPUT


def _kept(track: Track) -> saved.Kept:
    return saved.Kept(track.release, track.labels, track.decisive, track.printed, track.faults)


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
    """Rows as text; bytes that are none become such a line's own fault."""
    if name == "-":
        yield _utf8(sys.stdin)
    else:
        with Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            yield file


def _utf8(stream: TextIO) -> TextIO:
    """JSON Lines are UTF-8, whatever the terminal speaks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="replace")
    return stream


def _prompt(stream: TextIO) -> TextIO:
    """Whoever waits for a verdict gets it when it is given."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True)
    return stream


def _replay(session: Session, rows: TextIO, arguments: argparse.Namespace, out: TextIO) -> None:
    for number, fields in counters.read(rows):
        session.rows += 1
        if isinstance(fields, counters.Unreadable):
            session.name(fields.what, number, fields.detail)
            continue
        name = fields.get("release", "")
        if not isinstance(name, str) or len(name) > LONGEST_NAME or not encodes(name):
            session.name(f"release is no text of at most {LONGEST_NAME} characters", number)
            continue
        track = session.track(name)
        if arguments.chart is not None and session.drawn is None and arguments.release in (None, name):
            session.drawn = track.series = _series(session.criteria, name)
        if fields.get("labels") is not None:
            track.labels = track.labels or LabelTrack.begin(session.accuracy)
            problem = track.labels.feed(fields)
            if problem is not None:
                session.name(problem, number)
        if "requests" in fields or "labels" not in fields:
            _report(session, track, track.release.looks(fields), arguments, out)
    for track in session.tracks.values():
        _close(session, track, arguments, out)


def _close(session: Session, track: Track, arguments: argparse.Namespace, out: TextIO) -> None:
    """The last words on a release; one that stays open has them when it is resumed."""
    if arguments.save is None:
        _report(session, track, track.release.finish(), arguments, out)
    if arguments.final:
        told = track.decisive or counters.facts(track.name, track.release.verdict(), session.criteria)
    elif arguments.save is None and (track.printed == 0 or sum(track.release.faults.values()) != track.faults):
        told = counters.facts(track.name, track.release.verdict(), session.criteria)
    else:
        return
    print(counters.line(told, _labels(track)), file=out)


def _report(
    session: Session, track: Track, looks: Iterator[Stratum], arguments: argparse.Namespace, out: TextIO
) -> None:
    for stratum in looks:
        if track.series is not None:
            _extend(track.series, track.release, stratum)
        if track.decisive is None and track.release.decide(stratum.t)[0] in DECISIVE:
            track.decisive = counters.facts(track.name, track.release.verdict(), session.criteria)
        if arguments.final:
            continue
        verdict = track.release.verdict()
        track.printed += 1
        track.faults = sum(track.release.faults.values())
        print(counters.line(counters.facts(track.name, verdict, session.criteria, stratum), _labels(track)), file=out)


def _labels(track: Track) -> dict[str, Any] | None:
    return None if track.labels is None else track.labels.facts()


def _series(criteria: Criteria, name: str) -> EvidenceSeries:
    names = [rail.name for rail in criteria.guardrails]
    return EvidenceSeries(
        release=name,
        t=[],
        log_evalue={rail: [] for rail in names},
        threshold=per_metric_threshold(criteria),
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
    decisions = Counter(_word(track) for track in session.tracks.values())
    faults: Counter[str] = Counter()
    for track in session.tracks.values():
        faults.update(track.release.faults)
    parts = [f"{count} {decision}" for decision, count in sorted(decisions.items())]
    print(f"{session.rows:,} rows, {len(session.tracks):,} releases: {', '.join(parts) or 'none'}", file=sys.stderr)
    for what, count in sorted(faults.items()):
        print(f"  {count:,} × {what}", file=sys.stderr)
    for what, (count, first) in sorted(session.unreadable.items()):
        print(f"  {count:,} × {what} (first in {first})", file=sys.stderr)


def _word(track: Track) -> str:
    """The first decisive verdict, or else the last one."""
    if track.decisive is not None:
        return str(track.decisive["verdict"])
    return str(track.release.decide(track.release.latest)[0])


def _draw(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.chart is None:
        return 0
    if session.drawn is None:
        return _refuse(
            "no rows, so no release to draw"
            if arguments.release is None
            else f"no release {arguments.release!r} to draw"
        )
    track = session.tracks[session.drawn.release]
    session.drawn.verdict = _word(track)
    if track.decisive is not None:
        session.drawn.verdict_at = float(track.decisive["t"])
    return draw_evidence(session.drawn, arguments.chart)
