"""The judge of one release: rows in, verdicts out. The same rows give the same verdicts, byte for byte.

It holds no clock and reads nothing: time is the rows' own, or `now` where a caller passes it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from penstock.judge import budget, forecast, guardrail, spread, users
from penstock.judge.criteria import Arm, Criteria, Unit
from penstock.judge.doubt import Doubt
from penstock.judge.guardrail import Evidence
from penstock.judge.restarts import Spending
from penstock.judge.rows import HARMLESS, LATEST, Fault, Refused, Row, parse, router_of
from penstock.judge.strata import Strata, Stratum
from penstock.judge.verdict import (
    Counts,
    Decision,
    MetricVerdict,
    Reason,
    Verdict,
    per_metric_threshold,
    tolerated_points,
)
from penstock.judge.watermark import Second, Watermark

STALE = 30
"""Seconds without a row after which evidence is stale."""

ALONE = 14.0
"""Requests that an arm should have had since its last one, by its share, after which it counts as cut off: chance leaves
so many out once in a million times."""

MEASURE = 60
"""Seconds of stable's traffic by which `points: auto` is resolved."""

JUST_BELOW = 0.01
"""Nats below the line at which the evidence of a single pod's outage is kept."""

MOST_PODS = 32
"""Stable pods whose luck is followed."""


@dataclass(slots=True)
class Release:
    """State of the judge. Made by `Release(criteria)`, or by `state.resume`."""

    criteria: Criteria
    watermark: Watermark = field(init=False)
    strata: Strata = field(init=False)
    evidence: list[Evidence] = field(init=False)
    spending: Spending = field(default_factory=Spending)
    started: int = -1
    latest: int = -1
    requests: int = 0
    seen: tuple[int, int] = (0, 0)
    alone: tuple[int, int] = (0, 0)
    doubt: Doubt = field(default_factory=Doubt)
    missing: list[int] = field(init=False)
    points: float | None = None
    measured: tuple[int, int] = (0, 0)
    weight: float = 0.0
    outage: str = ""
    several_outages: bool = False
    pods: dict[str, list[int]] = field(default_factory=dict)
    rolled_back: bool = False

    def __post_init__(self) -> None:
        count = len(self.criteria.guardrails)
        self.watermark = Watermark(count)
        self.strata = Strata(count)
        self.evidence = [Evidence() for _ in range(count)]
        self.missing = [0] * count

    def feed(self, fields: Mapping[str, object]) -> list[Stratum]:
        """Take one decoded row; the strata that closed and entered the evidence because of it.

        After a rollback the state is frozen and rows are no longer taken: the release is over.
        """
        return list(self.looks(fields))

    def looks(self, fields: Mapping[str, object]) -> Iterator[Stratum]:
        """As `feed`, stopping after each stratum so that `verdict` can be asked for; to be exhausted by the caller."""
        if self.rolled_back:
            return
        try:
            row = parse(fields, self.criteria)
        except Refused as refused:
            self._refuse(refused.fault, fields)
            return
        yield from self.take(row)

    def take(self, row: Row) -> Iterator[Stratum]:
        """Take one parsed row; as `looks`."""
        if self.rolled_back:
            return
        fault = self.watermark.add(row)
        if fault in HARMLESS:
            self.doubt.note(fault, self._now)
        elif fault is not None:
            self.doubt.refuse(fault, self._now)
        yield from self._advance(self.watermark.drain())

    def finish(self) -> Iterator[Stratum]:
        """No more rows will come: close what is open; as `looks`."""
        if self.rolled_back:
            return
        yield from self._advance(self.watermark.finish())
        if not self.rolled_back:
            self.doubt.settle(LATEST)

    @property
    def faults(self) -> dict[str, int]:
        """Faults counted so far, by name."""
        return self.doubt.faults

    @property
    def _now(self) -> int:
        return max(self.latest, self.watermark.closed, 0)

    def _refuse(self, fault: Fault, fields: Mapping[str, object]) -> None:
        """A row cannot be used: then neither can its second of that router, or of all when it names none."""
        t, router = fields.get("t"), router_of(fields)
        routers = list(self.watermark.heard) if router is None else [router]
        if isinstance(t, int | float) and 0.0 <= t <= LATEST:
            kept = [self.watermark.taint(t, name) for name in routers]
            if any(kept):
                self.doubt.refuse_later(fault, math.floor(t), fields)
                return
        self.doubt.refuse(fault, self._now)

    def _advance(self, seconds: Iterable[Second]) -> Iterator[Stratum]:
        for second in seconds:
            self.doubt.settle(second.t)
            self._follow(second)
            stratum, fault = self.strata.add(second)
            if fault is not None:
                self.doubt.note(fault, second.t)
            if stratum is not None:
                self._weigh(stratum)
                yield stratum
            if self.rolled_back:
                return
        self.doubt.settle(self.watermark.closed)

    def _follow(self, second: Second) -> None:
        """What is known of the release as a whole after a second."""
        if second.candidate.requests and self.started < 0:
            self.started = second.t
        self.latest = second.t
        self.requests += second.stable.requests + second.candidate.requests
        self.seen = (self.seen[0] + second.stable.requests, self.seen[1] + second.candidate.requests)
        self.alone = (
            0 if second.candidate.requests else self.alone[0] + second.stable.requests,
            0 if second.stable.requests else self.alone[1] + second.candidate.requests,
        )
        self.doubt.rows += second.rows
        for fault, count in second.faults:
            self.doubt.note(fault, second.t, count)
        for i, (lacking, spoilt) in enumerate(zip(second.lacking, second.spoilt, strict=True)):
            if lacking or not spoilt:
                self.missing[i] = self.missing[i] + 1 if lacking else 0
        if second.weight is not None:
            self.weight = second.weight
        for arm, name, requests, events in () if any(second.spoilt) else second.pods:
            if arm is Arm.STABLE and (name in self.pods or len(self.pods) < MOST_PODS):
                known = self.pods.setdefault(name, [0] * (1 + len(events)))
                known[0] += requests
                for i, count in enumerate(events):
                    known[i + 1] += count
        self._measure(second)

    def _measure(self, second: Second) -> None:
        """Resolve `points: auto` from stable's first minute."""
        if self.points is not None or all(g.tolerance.points is not None for g in self.criteria.guardrails):
            return
        first, requests = self.measured
        if requests == 0:
            first = second.t
        requests += second.stable.requests + second.candidate.requests
        self.measured = (first, requests)
        if second.t - first >= MEASURE - 1:
            traffic = requests / (second.t - first + 1)
            base = max(
                evidence.base.estimate
                for rail, evidence in zip(self.criteria.guardrails, self.evidence, strict=True)
                if rail.tolerance.points is None
            )
            self.points = forecast.auto_points(
                base, traffic, self.criteria.deadline, 0.5, self.criteria.missed_regression
            )
            for rail, evidence in zip(self.criteria.guardrails, self.evidence, strict=True):
                if rail.tolerance.points is None:
                    evidence.forget_points_health()

    def _weigh(self, stratum: Stratum) -> None:
        """Let a stratum into the evidence."""
        if not 0.0 < stratum.weight < 1.0 or self.started < 0:
            for rail, evidence, cell in zip(self.criteria.guardrails, self.evidence, stratum.cells, strict=True):
                if rail.unit is not Unit.USERS:
                    evidence.base = evidence.base.after(cell.stable, cell.stable_events)
            return
        self.spending, weight = self.spending.advance(
            float(stratum.t - self.started), self.spending.requests + stratum.requests, self.criteria.deadline
        )
        for i, rail in enumerate(self.criteria.guardrails):
            points = tolerated_points(rail, self.points if self.points is not None else forecast.AUTO_POINTS[-1])
            cell = stratum.user_cells[i] if rail.unit is Unit.USERS else stratum.cells[i]
            if not guardrail.possible(self.evidence[i], rail, cell):
                self.doubt.note(Fault.ABSURD, stratum.t)
                continue
            guardrail.observe(self.evidence[i], rail, points, self._luck(i, stratum), cell, weight)
        self._cap(stratum)
        self.rolled_back = self.log_harm() >= self.criteria.rollback_threshold

    def _luck(self, i: int, stratum: Stratum) -> float:
        if len(self.pods) < 2:
            return 1.0
        deviation = spread.between_pods((known[0], known[i + 1]) for known in self.pods.values())
        return spread.widening(deviation, stratum.stable_pods, stratum.candidate_pods)

    def _cap(self, stratum: Stratum) -> None:
        """Keep the evidence of one outage of one pod just below the line; making an e-value smaller is always valid."""
        failed = any(cell.candidate_events for cell in stratum.cells)
        if not failed or self.several_outages:
            return
        if len(stratum.outages) != 1 or self.outage not in ("", *stratum.outages):
            self.several_outages = True
            return
        self.outage = next(iter(stratum.outages))
        excess = self.log_harm() - (self.criteria.rollback_threshold - JUST_BELOW)
        if excess > 0.0:
            shrink = math.exp(-excess)
            for evidence in self.evidence:
                evidence.split_harm = [value * shrink for value in evidence.split_harm]
                evidence.ratio_harm = [value * shrink for value in evidence.ratio_harm]
                evidence.points_harm = [value * shrink for value in evidence.points_harm]
                evidence.signs_harm = [value * shrink for value in evidence.signs_harm]

    def log_harm(self) -> float:
        """Combined log e-value for harm: the mean over the guardrails."""
        return budget.combined(self._log_harms())

    def _log_harms(self) -> list[float]:
        default = self.points if self.points is not None else forecast.AUTO_POINTS[-1]
        return [
            evidence.log_harm(rail, tolerated_points(rail, default))
            for rail, evidence in zip(self.criteria.guardrails, self.evidence, strict=True)
        ]

    def _worst(self) -> str:
        harms = self._log_harms()
        return self.criteria.guardrails[harms.index(max(harms))].name

    def verdict(self, now: float | None = None) -> Verdict:
        """The verdict as of the newest closed second, or as of `now` (seconds on the rows' clock)."""
        t = float(self.latest) if now is None or self.rolled_back else now
        decision, reason, metric = self.decide(t)
        return self._verdict(t, decision, reason, metric)

    def decide(self, t: float) -> tuple[Decision, Reason, str]:
        """The verdict's word, reason and guardrail at time `t`, without its figures: what a look a second needs."""
        if self.rolled_back:
            return Decision.ROLLBACK, Reason.WORSE, self._worst()
        rails = self.criteria.guardrails
        if self.latest < 0:
            return Decision.HOLD, Reason.DOUBTFUL_COUNTERS if self._doubtful(t) else Reason.NO_EVIDENCE, ""
        if self.started >= 0 and t - self.started > self.criteria.deadline:
            return Decision.INCONCLUSIVE, Reason.DEADLINE_EXCEEDED, ""
        if t - self.latest > STALE:
            return Decision.HOLD, Reason.STALE_EVIDENCE, ""
        if self.seen[1] == 0 or self.alone[0] * self.weight > ALONE:
            return Decision.HOLD, Reason.NO_CANDIDATE_TRAFFIC, ""
        if self.seen[0] == 0 or self.alone[1] * (1.0 - self.weight) > ALONE:
            return Decision.HOLD, Reason.NO_STABLE_TRAFFIC, ""
        for rail, missing, evidence in zip(rails, self.missing, self.evidence, strict=True):
            if missing > 0:
                no_users = rail.unit is Unit.USERS and evidence.stable[0] + evidence.candidate[0] == 0
                return Decision.HOLD, Reason.NO_USER_COUNTS if no_users else Reason.MISSING_COUNT, rail.name
        if self._doubtful(t):
            return Decision.HOLD, Reason.DOUBTFUL_COUNTERS, ""
        harms = self._log_harms()
        if budget.combined(harms) >= forecast.SIGN:
            worst = rails[harms.index(max(harms))].name
            capped = self.outage and not self.several_outages
            return Decision.HOLD, Reason.ONE_OUTAGE if capped else Reason.SIGNS_OF_HARM, worst
        for rail, evidence in zip(rails, self.evidence, strict=True):
            if rail.unit is Unit.USERS:
                seen = evidence.stable[0] + evidence.candidate[0]
                if seen == 0:
                    return Decision.HOLD, Reason.NO_USER_COUNTS, rail.name
                if seen < users.FEW and self.requests > 20 * users.FEW:
                    return Decision.HOLD, Reason.FEW_USERS, rail.name
        unmeasured = next((rail for rail in rails if self.points is None and rail.tolerance.points is None), None)
        if unmeasured is not None:
            return Decision.HOLD, Reason.COLLECTING, unmeasured.name
        healths = self._log_healths()
        least = min(healths)
        if least >= self.criteria.promotion_threshold:
            return Decision.PROMOTE, Reason.HARM_EXCLUDED, ""
        return Decision.HOLD, Reason.COLLECTING, rails[healths.index(least)].name

    def _log_healths(self) -> list[float]:
        default = self.points if self.points is not None else forecast.AUTO_POINTS[-1]
        return [
            evidence.log_health(rail, tolerated_points(rail, default))
            for rail, evidence in zip(self.criteria.guardrails, self.evidence, strict=True)
        ]

    def _doubtful(self, t: float) -> bool:
        return self.doubt.withholds(max(t, self.latest), self.latest)

    def _verdict(self, t: float, decision: Decision, reason: Reason, metric: str) -> Verdict:
        metrics = self.metrics()
        waits = [m.to_promotion for m in metrics]
        earliest = None
        elapsed = self.latest - self.started
        if self.started >= 0 and elapsed > 0 and all(wait is not None for wait in waits):
            rate = self.spending.requests / elapsed
            if rate > 0.0:
                earliest = t + max(wait for wait in waits if wait is not None) / rate
        return Verdict(
            t,
            decision,
            reason,
            metric,
            self.log_harm(),
            self.criteria.rollback_threshold,
            metrics,
            self.doubt.named(t),
            earliest,
            *self.seen,
        )

    def metrics(self) -> tuple[MetricVerdict, ...]:
        """Each guardrail's evidence as it stands."""
        line = per_metric_threshold(self.criteria)
        health_line = self.criteria.promotion_threshold
        share = min(0.99, max(0.001, self.weight or 0.5))
        found = []
        harms, healths = self._log_harms(), self._log_healths()
        default = self.points if self.points is not None else forecast.AUTO_POINTS[-1]
        for rail, evidence, harm, health in zip(self.criteria.guardrails, self.evidence, harms, healths, strict=True):
            points = tolerated_points(rail, default)
            base = evidence.base.estimate
            found.append(
                MetricVerdict(
                    rail.name,
                    harm,
                    line,
                    health,
                    health_line,
                    Counts(*evidence.stable),
                    Counts(*evidence.candidate),
                    rail.tolerance.ratio,
                    points,
                    evidence.difference.interval(self.criteria.false_rollback),
                    forecast.requests_to_rollback(max(harm, 0.0), line, points, base, share, 1.0),
                    forecast.requests_to_promotion(health, health_line, rail.tolerance.ratio, points, base, share),
                )
            )
        return tuple(found)
