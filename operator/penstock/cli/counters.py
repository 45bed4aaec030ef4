"""Counters as JSON Lines: the rows in, the verdicts out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from penstock.judge.criteria import Criteria
from penstock.judge.strata import Stratum
from penstock.judge.verdict import MetricVerdict, Verdict, sentence

LONGEST_LINE = 1 << 20
"""Characters of the longest line that is read; a longer one is malformed."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no row: what is wrong with it, and where exactly."""

    what: str
    detail: str = ""


def read(lines: TextIO) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
    """Each line's number, from 1, with its object or why it is none. Blank lines are passed over."""
    number = 0
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            while line and not line.endswith("\n"):
                line = lines.readline(LONGEST_LINE + 1)
            yield number, Unreadable(f"a line is longer than {LONGEST_LINE:,} characters")
            continue
        if line.isspace():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, Unreadable("a line is no JSON", str(error)[:120])
            continue
        yield number, fields if isinstance(fields, dict) else Unreadable("a line is no JSON object")


def facts(release: str, verdict: Verdict, criteria: Criteria, stratum: Stratum | None = None) -> dict[str, Any]:
    """A verdict in the words and the order in which it is printed; `stratum` closed with it."""
    told: dict[str, Any] = {"release": release, "t": _rounded(verdict.t)}
    if stratum is not None:
        told |= {"router": stratum.router, "version": stratum.version, "weight": _rounded(100.0 * stratum.weight)}
    return told | {
        "verdict": str(verdict.decision),
        "reason": str(verdict.reason),
        "metric": verdict.metric or None,
        "message": sentence(verdict, criteria),
        "logEvalue": _rounded(verdict.log_evalue),
        "threshold": _rounded(verdict.threshold),
        "requests": {"stable": verdict.stable_requests, "candidate": verdict.candidate_requests},
        "metrics": [_metric(metric) for metric in verdict.metrics],
        "earliestPromotion": None if verdict.earliest is None else _rounded(verdict.earliest),
        "faults": dict(verdict.faults),
    }


def line(told: dict[str, Any], accuracy: dict[str, Any] | None) -> str:
    """A verdict's facts as one line of JSON; with what late labels say, where there are any."""
    return json.dumps(told if accuracy is None else told | {"accuracy": accuracy}, ensure_ascii=False)


def _metric(metric: MetricVerdict) -> dict[str, Any]:
    return {
        "name": metric.name,
        "logEvalue": _rounded(metric.log_evalue),
        "threshold": _rounded(metric.threshold),
        "promotion": {
            "logEvalue": _rounded(metric.log_evalue_promotion),
            "threshold": _rounded(metric.threshold_promotion),
        },
        "tolerate": {"ratio": metric.tolerated_ratio, "points": metric.tolerated_points},
        "stable": {"n": metric.stable.requests, "events": metric.stable.events},
        "candidate": {"n": metric.candidate.requests, "events": metric.candidate.events},
        "interval": [_rounded(limit) for limit in metric.interval],
        "candidateRequestsToRollback": metric.to_rollback,
        "requestsToPromotion": metric.to_promotion,
    }


def _rounded(number: float) -> float:
    return round(number, 6)
