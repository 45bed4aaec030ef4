"""Counters as JSON Lines: the rows in, the verdicts out."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from penstock.judge.criteria import Criteria
from penstock.judge.strata import Stratum
from penstock.judge.verdict import MetricVerdict, Verdict, sentence

LONGEST_LINE = 1 << 20
"""Characters of the longest line that is read; a longer one is malformed."""


def read(lines: TextIO) -> Iterator[dict[str, Any] | str]:
    """Each line's object, or why it is none. Blank lines are passed over."""
    while line := lines.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            while line and not line.endswith("\n"):
                line = lines.readline(LONGEST_LINE + 1)
            yield f"a line is longer than {LONGEST_LINE:,} characters"
            continue
        if line.isspace():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield f"a line is no JSON ({str(error)[:120]})"
            continue
        yield fields if isinstance(fields, dict) else "a line is no JSON object"


def line(
    release: str, verdict: Verdict, criteria: Criteria, stratum: Stratum | None, accuracy: dict[str, Any] | None
) -> str:
    """A verdict as one line of JSON; with what late labels say, where there are any."""
    facts: dict[str, Any] = {"release": release, "t": _rounded(verdict.t)}
    if stratum is not None:
        facts |= {"router": stratum.router, "version": stratum.version, "weight": _rounded(100.0 * stratum.weight)}
    facts |= {
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
    if accuracy is not None:
        facts["accuracy"] = accuracy
    return json.dumps(facts, ensure_ascii=False)


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
