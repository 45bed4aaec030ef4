"""Late labels in a replay: rows' `labels` through the judge's finding on accuracy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.judge.criteria import Arm
from penstock.judge.labels.accuracy import AccuracyFinding, AccuracyPlan, AccuracyState, find
from penstock.judge.labels.cohorts import CohortKey, LabelRow, OpenCohorts
from penstock.judge.rows import LATEST

FIELDS = ("predictions", "n", "lossSum", "lossSumSq")

LARGEST = 1e300
"""A number beyond this is none (NaN compares with nothing)."""


@dataclass(slots=True)
class LabelTrack:
    """The labels of one release: cohorts still open, and what the mature ones say."""

    plan: AccuracyPlan
    cohorts: OpenCohorts
    state: AccuracyState
    heard: float = -math.inf

    @classmethod
    def begin(cls, plan: AccuracyPlan) -> "LabelTrack":
        """Before the first label."""
        return cls(plan, OpenCohorts(plan.ages), AccuracyState.before(plan))

    def feed(self, fields: Mapping[str, Any]) -> str | None:
        """Take the labels of one row; the answer is what is wrong with them, if anything."""
        labels, t, arm = fields["labels"], fields.get("t"), fields.get("arm")
        if not isinstance(labels, Mapping) or arm not in ("stable", "candidate") or not _number(t):
            return "labels must be an object in a row with t and arm"
        if not 0.0 <= (t or 0.0) <= LATEST:
            return "labels come in a row whose t no clock can show"
        start = labels.get("cohort", t)
        numbers = [labels.get(field, 0) for field in FIELDS]
        if not _number(start) or not all(_number(number) for number in numbers):
            return "labels hold something that is no number"
        predictions, labelled, loss, squares = numbers
        if predictions != int(predictions) or labelled != int(labelled):
            return "labels count predictions or labels in parts"
        self.heard = max(self.heard, float(t or 0.0))
        row = LabelRow(
            CohortKey(float(start)), Arm(arm), float(t or 0.0), int(predictions), int(labelled), loss, squares
        )
        self.cohorts = self.cohorts.add(row)
        self.cohorts, mature = self.cohorts.close(self.heard)
        for cohort in mature:
            self.state = self.state.after(cohort, self.plan)
        return None

    def facts(self) -> dict[str, Any]:
        """The finding as it is printed."""
        finding: AccuracyFinding = find(self.state, self.plan)
        return {
            "outcome": str(finding.outcome),
            "reason": str(finding.reason),
            "logEvalue": round(finding.log_worse, 6),
            "threshold": round(finding.worse_threshold, 6),
            "within": {
                "logEvalue": round(finding.log_within, 6),
                "threshold": round(finding.within_threshold, 6),
            },
            "interval": [round(limit, 6) for limit in finding.interval],
            "labels": {"stable": finding.stable_labels, "candidate": finding.candidate_labels},
            "unlabelledRange": [round(limit, 6) for limit in finding.unlabelled_range],
            "refused": {str(problem): count for problem, count in self.cohorts.refused},
        }


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
