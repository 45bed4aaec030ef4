"""The state machine of a release: what is observed -> the next move.

An ordered chain; the first check that has something to say decides. What takes traffic away comes before what a person
may stop, and that before what needs evidence. Nothing here remembers anything: the same situation gives the same move,
so a restart moves nothing.
"""

from collections.abc import Callable
from datetime import timedelta

from penstock.api.actions import Verb
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.rollout import OnDeadline, Strategy
from penstock.rollout.moves import Advance, Hold, Move, Promote, TakeBack
from penstock.rollout.pods import FULL, pods_for
from penstock.rollout.situation import Crew, Situation
from penstock.rollout.steps import next_position, next_weight, pause_at
from penstock.rollout.trouble import READY_WITHIN, Cure, Trouble
from penstock.world import Decision, Exit

PATIENCE = timedelta(minutes=1)
"""So long a step may wait for the ordinary (pods starting, first requests) before the release counts as holding."""

_ORDINARY = frozenset(
    {
        Reason.COLLECTING,
        Reason.NO_EVIDENCE,
        Reason.NO_CANDIDATE_TRAFFIC,
        Reason.CANDIDATE_NOT_READY,
        Reason.WEIGHT_UNCONFIRMED,
        Reason.PAUSE_STEP,
    }
)
"""What every release waits for now and then."""

_LONG = frozenset({Reason.COLLECTING, Reason.PAUSE_STEP})
"""What a release may wait for as long as it takes."""

_LETS_STEPS_PASS = frozenset({Reason.COLLECTING, Reason.HARM_EXCLUDED, Reason.DEADLINE_EXCEEDED})
"""Judgements with which a step that is not the last may end. The deadline is not the judge's to keep: it may have been
prolonged since the release began."""

_ABORTED = TakeBack(Reason.ABORTED, "A person aborted the release.")

Check = Callable[[Situation], Move | None]


def next_move(situation: Situation) -> Move:
    """What a release with a stable revision beside it does next."""
    for check in _CHECKS:
        move = check(situation)
        if move is not None:
            return move
    return _progress(situation)


def next_move_of_first(situation: Situation) -> Move:
    """What a first deployment does next: there is nothing to compare it with and nothing to go back to."""
    if situation.asked is Verb.ABORT:
        return _ABORTED
    if situation.obstacle is not None:
        return _blocked(situation, situation.obstacle, Phase.FAILED)
    if situation.paused:
        return Hold(Phase.PAUSED, Reason.PAUSED, "The first deployment is paused; set spec.paused to false to go on.")
    if situation.candidate.ready > 0:
        return Promote(Reason.PROMOTED, "The first revision is ready and gets all traffic.")
    trouble = situation.candidate.trouble(situation.nodes, situation.release.started_at, situation.now)
    if trouble is not None:
        phase = Phase.FAILED if trouble.cure is Cure.PERSON else Phase.STARTING
        return Hold(phase, trouble.reason, trouble.message, situation.release.started_at + READY_WITHIN)
    return Hold(
        Phase.STARTING,
        Reason.STARTING,
        "The first revision is being fetched and started.",
        situation.release.started_at + READY_WITHIN,
    )


def watch(situation: Situation) -> Move | None:
    """After a promotion, while the previous revision is warm: whether the promoted one is taken back after all."""
    return _abort_asked(situation) or _worse(situation) or _crashed(situation)


def _abort_asked(situation: Situation) -> Move | None:
    return _ABORTED if situation.asked is Verb.ABORT else None


def _worse(situation: Situation) -> Move | None:
    """A verdict against the candidate holds however old it is."""
    evidence = situation.judged
    if evidence is None or evidence.judgement.decision is not Decision.ROLLBACK:
        return None
    return TakeBack(Reason.WORSE, evidence.judgement.says)


def _crashed(situation: Situation) -> Move | None:
    end = situation.crash
    if end is None or not situation.position.begun:
        return None
    return TakeBack(Reason.CRASH, f"The model server ended twice within a minute in every pod, {_how(end)}.")


def _how(end: Exit) -> str:
    how = "last killed for want of memory" if end.reason == "OOMKilled" else f"last with exit code {end.code}"
    words = " ".join(end.message.split())
    return f"{how}, saying: {words[-200:]}" if words else how


def _promotion_asked(situation: Situation) -> Move | None:
    if situation.asked is not Verb.PROMOTE:
        return None
    if situation.candidate.carries(FULL):
        return Promote(Reason.PROMOTED, "A person promoted the candidate.")
    return _waiting(
        situation, Reason.CANDIDATE_NOT_READY, f"Promotion was asked for; {_awaited(situation.candidate, FULL)}."
    )


def _deadline(situation: Situation) -> Move | None:
    passed = situation.now - situation.release.started_at >= situation.rollout.deadline.timedelta
    if not passed:
        return None
    limit = situation.rollout.deadline
    if situation.rollout.on_deadline is OnDeadline.ROLLBACK:
        return TakeBack(Reason.DEADLINE_EXCEEDED, f"There was no verdict within {limit}, and onDeadline is Rollback.")
    return Hold(
        Phase.DEADLINE_EXCEEDED,
        Reason.DEADLINE_EXCEEDED,
        f"There was no verdict within {limit}; the candidate keeps {situation.release.weight} % of the traffic. "
        "Promote or abort it, or raise spec.rollout.deadline.",
    )


def _obstructed(situation: Situation) -> Move | None:
    return _blocked(situation, situation.obstacle, Phase.REFUSED) if situation.obstacle is not None else None


def _blocked(situation: Situation, obstacle: Trouble, stalled: Phase) -> Hold:
    phase = stalled if obstacle.cure is Cure.PERSON else Phase.HOLDING
    if phase is Phase.HOLDING and situation.stable is None:
        phase = Phase.STARTING
    return Hold(phase, obstacle.reason, obstacle.message)


def _paused(situation: Situation) -> Move | None:
    if not situation.paused:
        return None
    return Hold(
        Phase.PAUSED,
        Reason.PAUSED,
        f"Paused at {situation.release.weight} % of the traffic; set spec.paused to false to go on.",
    )


def _candidate_starting(situation: Situation) -> Move | None:
    """Before the first weight: no pod that never was ready gets traffic."""
    if situation.position.begun:
        return None
    wanted = (
        FULL if situation.strategy is Strategy.IMMEDIATE else next_weight(situation.rollout.steps, situation.position)
    )
    if situation.candidate.carries(wanted):
        return None
    since = situation.release.started_at
    trouble = situation.candidate.trouble(situation.nodes, since, situation.now)
    if trouble is None:
        return _waiting(
            situation,
            Reason.CANDIDATE_NOT_READY,
            f"The candidate is being fetched and started: {_awaited(situation.candidate, wanted)}.",
        )
    phase = Phase.REFUSED if trouble.cure is Cure.PERSON else Phase.HOLDING
    return Hold(phase, trouble.reason, trouble.message, since + READY_WITHIN)


def _immediate(situation: Situation) -> Move | None:
    if situation.strategy is not Strategy.IMMEDIATE or situation.position.begun:
        return None
    return Promote(Reason.PROMOTED, "The candidate is ready and gets all traffic at once.")


def _stable_short(situation: Situation) -> Move | None:
    """Stable must be able to take back what the candidate gets."""
    stable = situation.stable
    if stable is None or stable.carries(FULL):
        return None
    if stable.ready == 0:
        return _waiting(situation, Reason.STABLE_NOT_READY, "No pod of the stable revision is ready.")
    return _waiting(
        situation,
        Reason.NO_HEADROOM,
        f"Stable could not take the candidate's share back: {_awaited(stable, FULL)}.",
    )


def _candidate_short(situation: Situation) -> Move | None:
    weight = situation.release.weight
    if situation.candidate.carries(weight):
        return None
    trouble = situation.candidate.trouble(situation.nodes, situation.now, situation.now)
    if trouble is not None:
        return Hold(Phase.HOLDING, trouble.reason, trouble.message)
    return _waiting(situation, Reason.CANDIDATE_NOT_READY, f"{_awaited(situation.candidate, weight)}.")


def _unconfirmed(situation: Situation) -> Move | None:
    if not situation.confirmed:
        return _waiting(
            situation,
            Reason.WEIGHT_UNCONFIRMED,
            f"Not every router pod has confirmed {situation.release.weight} % for the candidate.",
        )
    if situation.reachable == 0 and not situation.position.begun:
        return _waiting(
            situation, Reason.WEIGHT_UNCONFIRMED, "Not every router pod knows the addresses of the candidate's pods."
        )
    return None


def _without_evidence(situation: Situation) -> Move | None:
    if not situation.position.begun or situation.fresh is not None:
        return None
    if situation.judged is None:
        return _waiting(situation, Reason.NO_EVIDENCE, "Nothing has been counted yet.")
    away = situation.judged.unreachable
    who = f"{len(away)} router pods" if away else "the routers"
    return _waiting(
        situation, Reason.EVIDENCE_UNREACHABLE, f"The counts of {who} cannot be had; nothing moves meanwhile."
    )


def _judged_unfit(situation: Situation) -> Move | None:
    """What the judge knows against going on."""
    evidence = situation.fresh
    if evidence is None:
        return None
    if evidence.saturated:
        return _waiting(situation, Reason.SATURATED, "Pods turn requests away for want of capacity.")
    if evidence.judgement.reason not in _LETS_STEPS_PASS:
        return _waiting(situation, evidence.judgement.reason, evidence.judgement.says)
    return None


_CHECKS: tuple[Check, ...] = (
    _abort_asked,
    _worse,
    _crashed,
    _promotion_asked,
    _deadline,
    _obstructed,
    _paused,
    _candidate_starting,
    _immediate,
    _stable_short,
    _candidate_short,
    _unconfirmed,
    _without_evidence,
    _judged_unfit,
)


def _progress(situation: Situation) -> Move:
    """Nothing is against going on: the step ends when it has what it asks for."""
    at, steps = situation.position, situation.rollout.steps
    following = next_position(steps, at)
    if not at.begun:
        assert following is not None
        return Advance(following.step, following.weight)
    waits = _step_lasts(situation)
    if waits is not None:
        return waits
    wanted = FULL if following is None else following.weight
    evidence = situation.fresh
    assert evidence is not None
    if following is None and evidence.judgement.decision is not Decision.PROMOTE:
        return _waiting(situation, Reason.COLLECTING, evidence.judgement.says)
    if following is None and situation.counted == 0:
        return _waiting(
            situation, Reason.NO_CANDIDATE_TRAFFIC, f"No request of the candidate is judged at {at.weight} % yet."
        )
    if following is not None and following.weight > at.weight and not situation.exposure_allowed:
        return _waiting(
            situation,
            Reason.COLLECTING,
            f"{following.weight} % is too much while the candidate may still be "
            f"{100 * max(0.0, evidence.judgement.highest_harm):.2g} points worse; more requests narrow that down.",
        )
    if not situation.candidate.carries(wanted):
        return _more_pods(situation, wanted)
    if following is None:
        return Promote(Reason.HARM_EXCLUDED, evidence.judgement.says)
    return Advance(following.step, following.weight)


def _more_pods(situation: Situation, wanted: int) -> Hold:
    trouble = situation.candidate.trouble(situation.nodes, situation.now, situation.now)
    if trouble is not None:
        return Hold(Phase.HOLDING, trouble.reason, trouble.message)
    return _waiting(
        situation, Reason.CANDIDATE_NOT_READY, f"For {wanted} % of the traffic {_awaited(situation.candidate, wanted)}."
    )


def _step_lasts(situation: Situation) -> Hold | None:
    """What the present step still asks for."""
    pause = pause_at(situation.rollout.steps, situation.position)
    if pause is not None:
        if situation.in_step_for >= pause.duration.timedelta:
            return None
        return Hold(
            Phase.RELEASING,
            Reason.PAUSE_STEP,
            f"Waits {pause.duration} at {situation.release.weight} %, as step {situation.release.step + 1} says.",
            situation.release.step_since + pause.duration.timedelta,
        )
    counted = situation.counted
    if counted >= situation.requests_wanted:
        return None
    return _waiting(
        situation,
        Reason.COLLECTING,
        f"{counted:,} of {situation.requests_wanted:,} requests at {situation.release.weight} %.",
    )


def _waiting(situation: Situation, reason: Reason, message: str) -> Hold:
    """A wait that is ordinary at first and, but for some reasons, a hold when it lasts."""
    turns = situation.release.step_since + PATIENCE
    if reason in _LONG or (reason in _ORDINARY and situation.now < turns):
        return Hold(Phase.RELEASING, reason, message, None if reason in _LONG else turns)
    return Hold(Phase.HOLDING, reason, message)


def _awaited(crew: Crew, weight: int) -> str:
    return f"{crew.ready} of {pods_for(weight, crew.replicas)} pods are ready"
