"""The finding of an A/B/n experiment: a winner, no difference that matters, or why neither can be said.

Every pair of arms is compared by a confidence sequence at alpha divided by the number of pairs, so that all hold together
at every look: an arm wins when it is better than each other arm; all are equivalent when every interval lies within
± `negligible`. A sample-ratio mismatch, once shown, ends the matter: Inconclusive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from math import log

from penstock.judge.experiments.arms import ArmEstimate, ArmSummary, adjusted, effective_events, standardised
from penstock.judge.experiments.discoveries import discoveries
from penstock.judge.experiments.effects import Effect, Inference, Scale, effect
from penstock.judge.experiments.sample_ratio import SampleRatio

BURN_IN_EVENTS = 30.0
"""Effective events per arm before anything is said: measured false winners stay within alpha from 20 on (see the docs)."""

BURN_IN_USERS = 100

Spans = Sequence[Sequence[ArmSummary | None]]
"""Stretches of constant shares; each one summary per arm, control first. One that lacks an arm's is left out."""


class Better(StrEnum):
    """Which direction of the outcome is wanted."""

    HIGHER = "Higher"
    LOWER = "Lower"


class ExperimentOutcome(StrEnum):
    """What an experiment has shown."""

    WINNER = "Winner"
    EQUIVALENT = "Equivalent"
    UNDECIDED = "Undecided"
    INCONCLUSIVE = "Inconclusive"


class ExperimentReason(StrEnum):
    """Why."""

    SHOWN_BETTER = "ShownBetter"
    SHOWN_EQUIVALENT = "ShownEquivalent"
    TOO_LITTLE_EVIDENCE = "TooLittleEvidence"
    BURN_IN = "BurnIn"
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch"
    EFFECT_UNDEFINED = "EffectUndefined"
    IMPOSSIBLE_SUMS = "ImpossibleSums"


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """Frozen when an experiment starts.

    `alpha`: error of the finding over all looks. `planned`: users of two arms at which intervals are narrowest.
    `negligible`: the largest effect that does not matter, in the unit of `scale`; None asks for a winner only.
    `ratio_alpha`: error of the sample-ratio test.
    """

    arms: tuple[str, ...]
    alpha: float = 0.05
    planned: float = 5000.0
    scale: Scale = Scale.RELATIVE
    better: Better = Better.HIGHER
    negligible: float | None = None
    ratio_alpha: float = 0.001
    inference: Inference = Inference.STUDENT

    def __post_init__(self) -> None:
        if len(self.arms) < 2 or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"an experiment needs at least two arms with names of their own, got {self.arms}")
        if not (0 < self.alpha < 1 and 0 < self.ratio_alpha < 1 and self.planned > 0):
            raise ValueError("error rates must lie between 0 and 1 and the planned users above 0")


@dataclass(frozen=True, slots=True)
class PairFinding:
    """The effect of `arm` against `baseline` with its interval, in the unit of the plan's scale."""

    baseline: str
    arm: str
    estimate: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ExperimentFinding:
    """What is known at this look; `winner` names an arm or is empty."""

    outcome: ExperimentOutcome
    reason: ExperimentReason
    winner: str
    pairs: tuple[PairFinding, ...]
    ratio_p_value: float


@dataclass(frozen=True, slots=True)
class Discovery:
    """A secondary metric that moved in an arm, against the control."""

    metric: str
    arm: str
    estimate: float


def find(plan: ExperimentPlan, ratio: SampleRatio, primary: Spans) -> ExperimentFinding:
    """The finding on the primary outcome."""
    if ratio.peak >= log(1 / plan.ratio_alpha):
        return _without_winner(
            ExperimentOutcome.INCONCLUSIVE, ExperimentReason.SAMPLE_RATIO_MISMATCH, (), ratio.p_value
        )
    spans = _complete(primary)
    if not _sound(spans):
        return _without_winner(ExperimentOutcome.INCONCLUSIVE, ExperimentReason.IMPOSSIBLE_SUMS, (), ratio.p_value)
    if not _burnt_in(spans):
        return _without_winner(ExperimentOutcome.UNDECIDED, ExperimentReason.BURN_IN, (), ratio.p_value)
    pairs = _compare(plan, _estimates(spans))
    if pairs is None:
        return _without_winner(ExperimentOutcome.INCONCLUSIVE, ExperimentReason.EFFECT_UNDEFINED, (), ratio.p_value)
    winner = next((arm for arm in plan.arms if _beats_all(plan, arm, pairs)), "")
    if winner:
        return ExperimentFinding(ExperimentOutcome.WINNER, ExperimentReason.SHOWN_BETTER, winner, pairs, ratio.p_value)
    limit = plan.negligible
    if limit is not None and all(-limit <= pair.interval[0] and pair.interval[1] <= limit for pair in pairs):
        return _without_winner(ExperimentOutcome.EQUIVALENT, ExperimentReason.SHOWN_EQUIVALENT, pairs, ratio.p_value)
    return _without_winner(ExperimentOutcome.UNDECIDED, ExperimentReason.TOO_LITTLE_EVIDENCE, pairs, ratio.p_value)


def secondary(plan: ExperimentPlan, metrics: Sequence[tuple[str, Spans]]) -> tuple[Discovery, ...]:
    """Secondary metrics that moved in some arm against the control, with false discovery rate `alpha`. They decide nothing.

    A metric before its burn-in, with impossible sums or without a defined effect counts as one without evidence.
    """
    candidates = [
        (name, arm, found)
        for name, spans in metrics
        for arm, found in zip(plan.arms[1:], _against_control(plan, _complete(spans)), strict=True)
    ]
    evidence = [
        0.0 if found is None else found.log_evidence(plan.alpha, plan.planned, plan.inference)
        for _, _, found in candidates
    ]
    return tuple(
        Discovery(name, arm, found.estimate)
        for name, arm, found in (candidates[position] for position in discoveries(evidence, plan.alpha))
        if found is not None
    )


def _complete(spans: Spans) -> list[list[ArmSummary]]:
    summaries = ([arm for arm in span if arm is not None] for span in spans)
    return [present for span, present in zip(spans, summaries, strict=True) if len(present) == len(span)]


def _sound(spans: Sequence[Sequence[ArmSummary]]) -> bool:
    return all(arm.sound for span in spans for arm in span)


def _burnt_in(spans: Sequence[Sequence[ArmSummary]]) -> bool:
    users = [sum(arm.users for arm in arms) for arms in zip(*spans, strict=True)]
    return bool(users) and min(users) >= BURN_IN_USERS and effective_events(spans) >= BURN_IN_EVENTS


def _estimates(spans: Sequence[Sequence[ArmSummary]]) -> tuple[ArmEstimate, ...]:
    return standardised([adjusted(span) for span in spans])


def _compare(plan: ExperimentPlan, estimates: Sequence[ArmEstimate]) -> tuple[PairFinding, ...] | None:
    pairs = []
    places = list(combinations(range(len(plan.arms)), 2))
    for baseline, arm in places:
        found = effect(estimates[baseline], estimates[arm], plan.scale)
        if found is None:
            return None
        interval = found.interval(plan.alpha / len(places), plan.planned, plan.inference)
        pairs.append(PairFinding(plan.arms[baseline], plan.arms[arm], found.estimate, interval))
    return tuple(pairs)


def _beats_all(plan: ExperimentPlan, arm: str, pairs: Sequence[PairFinding]) -> bool:
    wanted = 1 if plan.better is Better.HIGHER else -1
    return all(
        (pair.interval[0] * wanted > 0 and pair.interval[1] * wanted > 0)
        if pair.arm == arm
        else (pair.interval[0] * wanted < 0 and pair.interval[1] * wanted < 0)
        for pair in pairs
        if arm in (pair.arm, pair.baseline)
    )


def _against_control(plan: ExperimentPlan, spans: Sequence[Sequence[ArmSummary]]) -> list[Effect | None]:
    if not (_sound(spans) and _burnt_in(spans)):
        return [None] * (len(plan.arms) - 1)
    control, *others = _estimates(spans)
    return [effect(control, other, plan.scale) for other in others]


def _without_winner(
    outcome: ExperimentOutcome, reason: ExperimentReason, pairs: tuple[PairFinding, ...], ratio_p_value: float
) -> ExperimentFinding:
    return ExperimentFinding(outcome, reason, "", pairs, ratio_p_value)
