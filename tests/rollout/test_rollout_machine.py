"""The state machine of a release: a row for each state and each thing that can be in its way."""

from dataclasses import replace
from datetime import timedelta

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import given
from hypothesis import strategies as st
from penstock.api.actions import Verb
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.rollout import OnDeadline, Pause, Step, Strategy
from penstock.api.scalars import Duration
from penstock.rollout.machine import next_move, next_move_of_first, watch
from penstock.rollout.moves import Advance, Hold, Promote, TakeBack
from penstock.rollout.situation import Situation
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import Decision, Judgement
from rollout_pods import NOW, ended, pod, server
from rollout_situations import COLLECTING, PROMOTE, ROLLBACK, STEPS, crew, hold, judged, situation

AGO = NOW - timedelta(seconds=10)
YOUNG = timedelta(minutes=2)
CRASHING = pod(server(exits=3, last_exit=ended(), waiting="CrashLoopBackOff"), name="crashing")
FULL_NODES = pod(unschedulable="0/3 nodes are available", name="homeless")
TAKEN = Trouble(Reason.NAME_TAKEN, "There is a Service fraud that is not ours.", Cure.PERSON)
LEAVING = Trouble(Reason.NAME_TAKEN, "The Service of before is still being removed.", Cure.TIME)

LAST_PAUSE = (*STEPS, Step(pause=Pause(duration=Duration("1s"))))


def moves(name: str, at: Situation, move: object) -> ParameterSet:
    return pytest.param(at, move, id=name)


ROWS = [
    # Before the first weight.
    moves("the first weight", situation(0, 0), Advance(0, 1)),
    moves("no pod yet", situation(0, 0, candidate=crew(0), age=YOUNG, step_since=AGO),
          (Phase.RELEASING, Reason.CANDIDATE_NOT_READY)),
    moves("no pod for a minute", situation(0, 0, candidate=crew(0), age=YOUNG),
          (Phase.HOLDING, Reason.CANDIDATE_NOT_READY)),
    moves("no pod for ten minutes", situation(0, 0, candidate=crew(0)), (Phase.REFUSED, Reason.NEVER_READY)),
    moves("pods never start", situation(0, 0, candidate=crew(0, CRASHING), age=YOUNG),
          (Phase.REFUSED, Reason.NEVER_READY)),
    moves("no node has room", situation(0, 0, candidate=crew(0, FULL_NODES), age=YOUNG),
          (Phase.HOLDING, Reason.UNSCHEDULABLE)),
    moves("a quota", situation(0, 0, candidate=crew(0, failure="exceeded quota: small"), age=YOUNG),
          (Phase.HOLDING, Reason.QUOTA_EXCEEDED)),
    moves("routers do not know it yet", situation(0, 0, confirmed=False, step_since=AGO),
          (Phase.RELEASING, Reason.WEIGHT_UNCONFIRMED)),
    moves("routers do not know its pods yet", situation(0, 0, reachable=0), (Phase.HOLDING, Reason.WEIGHT_UNCONFIRMED)),
    moves("stable is down", situation(0, 0, stable=crew(0)), (Phase.HOLDING, Reason.STABLE_NOT_READY)),
    moves("stable is short of pods", situation(0, 0, stable=crew(3)), (Phase.HOLDING, Reason.NO_HEADROOM)),
    moves("paused before it began", situation(0, 0, paused=True), (Phase.PAUSED, Reason.PAUSED)),
    moves("a taken name", situation(0, 0, obstacle=TAKEN), (Phase.REFUSED, Reason.NAME_TAKEN)),
    moves("a name not free yet", situation(0, 0, obstacle=LEAVING), (Phase.HOLDING, Reason.NAME_TAKEN)),
    # Steps.
    moves("the next weight", situation(), Advance(1, 25)),
    moves("too few requests", situation(requests_wanted=5000), (Phase.RELEASING, Reason.COLLECTING)),
    moves("requests of another weight do not count", situation(evidence=judged(epoch=6)),
          (Phase.RELEASING, Reason.COLLECTING)),
    moves("too much would be at stake", situation(exposure_allowed=False), (Phase.RELEASING, Reason.COLLECTING)),
    moves("a pause needs no bound on exposure", situation(1, 25, exposure_allowed=False), Advance(2, 25)),
    moves("too few pods for the next weight", situation(1, 25, candidate=crew(1)), Advance(2, 25)),
    moves("pods for the next weight are still starting", situation(2, 25, candidate=crew(1)),
          (Phase.HOLDING, Reason.CANDIDATE_NOT_READY)),
    moves("no node for the next weight", situation(2, 25, candidate=crew(1, FULL_NODES)),
          (Phase.HOLDING, Reason.UNSCHEDULABLE)),
    moves("a pause", situation(2, 25, step_since=NOW - timedelta(minutes=9)), (Phase.RELEASING, Reason.PAUSE_STEP)),
    moves("the end of a pause", situation(2, 25), Advance(3, 50)),
    # The evidence.
    moves("nothing counted", situation(evidence=None, step_since=AGO), (Phase.RELEASING, Reason.NO_EVIDENCE)),
    moves("nothing counted for a minute", situation(evidence=None), (Phase.HOLDING, Reason.NO_EVIDENCE)),
    moves("old evidence", situation(evidence=judged(as_of=NOW - timedelta(seconds=31))),
          (Phase.HOLDING, Reason.EVIDENCE_UNREACHABLE)),
    moves("routers away", situation(evidence=judged(as_of=NOW - timedelta(hours=1), unreachable=("a",))),
          (Phase.HOLDING, Reason.EVIDENCE_UNREACHABLE)),
    moves("the weight is not live yet", situation(confirmed=False, step_since=AGO),
          (Phase.RELEASING, Reason.WEIGHT_UNCONFIRMED)),
    moves("the weight is not live for a minute", situation(confirmed=False), (Phase.HOLDING, Reason.WEIGHT_UNCONFIRMED)),
    moves("saturated", situation(evidence=judged(saturated=True)), (Phase.HOLDING, Reason.SATURATED)),
    moves("no requests at first", situation(evidence=hold(Reason.NO_CANDIDATE_TRAFFIC), step_since=AGO),
          (Phase.RELEASING, Reason.NO_CANDIDATE_TRAFFIC)),
    *(moves(f"the judge holds: {reason.value}", situation(evidence=hold(reason)), (Phase.HOLDING, reason))
      for reason in (Reason.SIGNS_OF_HARM, Reason.NO_CANDIDATE_TRAFFIC, Reason.NO_STABLE_TRAFFIC,
                     Reason.MISSING_COUNT, Reason.DOUBTFUL_COUNTERS, Reason.STALE_EVIDENCE, Reason.FEW_USERS,
                     Reason.NO_USER_COUNTS, Reason.ONE_OUTAGE)),
    moves("the judge's own deadline is not ours",
          situation(evidence=judged(Judgement(Decision.INCONCLUSIVE, Reason.DEADLINE_EXCEEDED, "Too late.", 0.0, 0.01))),
          Advance(1, 25)),
    # Promotion.
    moves("decided after the last step", situation(3, 50, evidence=judged(PROMOTE)),
          Promote(Reason.HARM_EXCLUDED, PROMOTE.says)),
    moves("decided after a last pause without a request", situation(
        4, 50, rollout={"steps": LAST_PAUSE}, requests_wanted=0, evidence=judged(PROMOTE, requests=0), step_since=AGO),
        (Phase.RELEASING, Reason.NO_CANDIDATE_TRAFFIC)),
    moves("decided after a last pause", situation(
        4, 50, rollout={"steps": LAST_PAUSE}, requests_wanted=0, evidence=judged(PROMOTE), step_since=AGO),
        Promote(Reason.HARM_EXCLUDED, PROMOTE.says)),
    moves("decided before the last step", situation(1, 25, evidence=judged(PROMOTE)), Advance(2, 25)),
    moves("not decided after the last step", situation(3, 50), (Phase.RELEASING, Reason.COLLECTING)),
    moves("decided, with too few pods for everything", situation(3, 50, candidate=crew(3), evidence=judged(PROMOTE)),
          (Phase.HOLDING, Reason.CANDIDATE_NOT_READY)),
    # Taking back.
    moves("worse", situation(evidence=judged(ROLLBACK)), (TakeBack, Reason.WORSE)),
    moves("worse, told long ago", situation(evidence=judged(ROLLBACK, as_of=NOW - timedelta(hours=1))),
          (TakeBack, Reason.WORSE)),
    moves("worse while paused", situation(paused=True, evidence=judged(ROLLBACK)), (TakeBack, Reason.WORSE)),
    moves("worse while stable is scaling", situation(stable=crew(1), evidence=judged(ROLLBACK)),
          (TakeBack, Reason.WORSE)),
    moves("worse with a taken name", situation(obstacle=TAKEN, evidence=judged(ROLLBACK)), (TakeBack, Reason.WORSE)),
    moves("worse while its weight is not live", situation(confirmed=False, evidence=judged(ROLLBACK)),
          (TakeBack, Reason.WORSE)),
    moves("worse in a pause", situation(2, 25, evidence=judged(ROLLBACK), step_since=AGO), (TakeBack, Reason.WORSE)),
    moves("worse though a person promotes", situation(asked=Verb.PROMOTE, evidence=judged(ROLLBACK)),
          (TakeBack, Reason.WORSE)),
    moves("crashing", situation(crash=ended()), (TakeBack, Reason.CRASH)),
    moves("crashing while paused", situation(crash=ended(), paused=True), (TakeBack, Reason.CRASH)),
    moves("crashing before it had traffic", situation(0, 0, crash=ended(), candidate=crew(0, CRASHING)),
          (Phase.REFUSED, Reason.NEVER_READY)),
    moves("some pods not ready any more", situation(2, 25, candidate=crew(0, pod(name="lame"))),
          (Phase.HOLDING, Reason.CANDIDATE_NOT_READY)),
    moves("a pod crashes under traffic", situation(2, 25, candidate=crew(0, CRASHING)),
          (Phase.HOLDING, Reason.NEVER_READY)),
    # People.
    moves("aborted", situation(asked=Verb.ABORT), (TakeBack, Reason.ABORTED)),
    moves("aborted before it began", situation(0, 0, asked=Verb.ABORT), (TakeBack, Reason.ABORTED)),
    moves("promoted", situation(asked=Verb.PROMOTE), (Promote, Reason.PROMOTED)),
    moves("promoted without evidence", situation(asked=Verb.PROMOTE, evidence=None), (Promote, Reason.PROMOTED)),
    moves("promoted while paused", situation(asked=Verb.PROMOTE, paused=True), (Promote, Reason.PROMOTED)),
    moves("promoted with too few pods", situation(asked=Verb.PROMOTE, candidate=crew(3)),
          (Phase.HOLDING, Reason.CANDIDATE_NOT_READY)),
    moves("paused", situation(paused=True), (Phase.PAUSED, Reason.PAUSED)),
    moves("paused though decided", situation(3, 50, paused=True, evidence=judged(PROMOTE)),
          (Phase.PAUSED, Reason.PAUSED)),
    # The deadline.
    moves("the deadline", situation(rollout={"deadline": Duration("1h")}),
          (Phase.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED)),
    moves("the deadline while paused", situation(rollout={"deadline": Duration("1h")}, paused=True),
          (Phase.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED)),
    moves("the deadline, decided too late",
          situation(3, 50, rollout={"deadline": Duration("1h")}, evidence=judged(PROMOTE)),
          (Phase.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED)),
    moves("worse after the deadline", situation(rollout={"deadline": Duration("1h")}, evidence=judged(ROLLBACK)),
          (TakeBack, Reason.WORSE)),
    moves("promoted after the deadline", situation(rollout={"deadline": Duration("1h")}, asked=Verb.PROMOTE),
          (Promote, Reason.PROMOTED)),
    moves("a deadline that rolls back",
          situation(rollout={"deadline": Duration("1h"), "on_deadline": OnDeadline.ROLLBACK}),
          (TakeBack, Reason.DEADLINE_EXCEEDED)),
    # Immediate.
    moves("at once", situation(0, 0, strategy=Strategy.IMMEDIATE), (Promote, Reason.PROMOTED)),
    moves("at once, with too few pods", situation(0, 0, strategy=Strategy.IMMEDIATE, candidate=crew(3), step_since=AGO),
          (Phase.REFUSED, Reason.NEVER_READY)),
    moves("at once, though stable is down", situation(0, 0, strategy=Strategy.IMMEDIATE, stable=crew(0)),
          (Promote, Reason.PROMOTED)),
    moves("at once, though paused", situation(0, 0, strategy=Strategy.IMMEDIATE, paused=True),
          (Phase.PAUSED, Reason.PAUSED)),
]  # fmt: skip


def agrees(found: object, wanted: object) -> None:
    match wanted:
        case (Phase() as phase, Reason() as reason):
            assert isinstance(found, Hold), found
            assert (found.phase, found.reason) == (phase, reason), found
            assert found.message
        case (type() as kind, Reason() as reason):
            assert isinstance(found, kind), found
            assert found.reason is reason  # type: ignore[attr-defined]
            assert found.message  # type: ignore[attr-defined]
        case _:
            assert found == wanted


@pytest.mark.parametrize(("at", "wanted"), ROWS)
def test_the_next_move(at: Situation, wanted: object) -> None:
    agrees(next_move(at), wanted)


FIRST = [
    moves("the first pod is ready", situation(0, 0, stable=None, candidate=crew(1)), (Promote, Reason.PROMOTED)),
    moves("none is ready yet", situation(0, 0, stable=None, candidate=crew(0), age=YOUNG),
          (Phase.STARTING, Reason.STARTING)),
    moves("none is ready after ten minutes", situation(0, 0, stable=None, candidate=crew(0)),
          (Phase.FAILED, Reason.NEVER_READY)),
    moves("it never starts", situation(0, 0, stable=None, candidate=crew(0, CRASHING), age=YOUNG),
          (Phase.FAILED, Reason.NEVER_READY)),
    moves("no node has room", situation(0, 0, stable=None, candidate=crew(0, FULL_NODES), age=YOUNG),
          (Phase.STARTING, Reason.UNSCHEDULABLE)),
    moves("paused", situation(0, 0, stable=None, paused=True), (Phase.PAUSED, Reason.PAUSED)),
    moves("aborted", situation(0, 0, stable=None, asked=Verb.ABORT), (TakeBack, Reason.ABORTED)),
    moves("a taken name", situation(0, 0, stable=None, obstacle=TAKEN), (Phase.FAILED, Reason.NAME_TAKEN)),
    moves("a name not free yet", situation(0, 0, stable=None, obstacle=LEAVING), (Phase.STARTING, Reason.NAME_TAKEN)),
]  # fmt: skip


@pytest.mark.parametrize(("at", "wanted"), FIRST)
def test_the_next_move_of_a_first_deployment(at: Situation, wanted: object) -> None:
    agrees(next_move_of_first(at), wanted)


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        moves("crashing", situation(3, 100, crash=ended()), (TakeBack, Reason.CRASH)),
        moves("worse", situation(3, 100, evidence=judged(ROLLBACK)), (TakeBack, Reason.WORSE)),
        moves("aborted", situation(3, 100, asked=Verb.ABORT), (TakeBack, Reason.ABORTED)),
    ],
)
def test_a_watched_revision_is_taken_back(at: Situation, wanted: object) -> None:
    agrees(watch(at), wanted)


@pytest.mark.parametrize(
    "at",
    [
        situation(3, 100),
        situation(3, 100, paused=True),
        situation(3, 100, stable=crew(0)),
        situation(3, 100, evidence=None),
    ],
)
def test_a_watched_revision_stays(at: Situation) -> None:
    assert watch(at) is None


JUDGEMENTS = st.sampled_from(
    [COLLECTING, PROMOTE, ROLLBACK, Judgement(Decision.HOLD, Reason.SIGNS_OF_HARM, "It looks worse.", 4.0, 0.2)]
)
SITUATIONS = st.builds(
    lambda place, judgement, seconds, **changes: situation(
        *place,
        evidence=None if judgement is None else judged(judgement, as_of=NOW - timedelta(seconds=seconds)),
        **changes,
    ),
    st.sampled_from([(0, 0), (0, 1), (1, 25), (2, 25), (3, 50)]),
    st.none() | JUDGEMENTS,
    st.sampled_from([0, 29, 31, 4000]),
    strategy=st.sampled_from(Strategy),
    paused=st.booleans(),
    asked=st.none() | st.sampled_from([Verb.PROMOTE, Verb.ABORT]),
    obstacle=st.none() | st.sampled_from([TAKEN, LEAVING]),
    candidate=st.integers(0, 4).map(crew),
    stable=st.integers(0, 4).map(crew),
    crash=st.none() | st.just(ended()),
    confirmed=st.booleans(),
    reachable=st.integers(0, 4),
    exposure_allowed=st.booleans(),
    requests_wanted=st.sampled_from([0, 50, 5000]),
    age=st.sampled_from([YOUNG, timedelta(hours=30)]),
    rollout=st.fixed_dictionaries({"on_deadline": st.sampled_from(OnDeadline)}),
)


@given(SITUATIONS)
def test_a_verdict_against_the_candidate_is_never_held_up(at: Situation) -> None:
    if at.judged is not None and at.judged.judgement.decision is Decision.ROLLBACK:
        assert isinstance(next_move(at), TakeBack)


@given(SITUATIONS, st.sampled_from([COLLECTING, PROMOTE, ROLLBACK]) | st.sampled_from(Reason), st.booleans())
def test_before_the_first_weight_no_judgement_moves_or_holds_anything(
    at: Situation, word: Judgement | Reason, saturated: bool
) -> None:
    untouched = replace(at, release=at.release.model_copy(update={"step": 0, "weight": 0}), evidence=None)
    judgement = word if isinstance(word, Judgement) else hold(word).judgement
    assert next_move(replace(untouched, evidence=judged(judgement, saturated=saturated))) == next_move(untouched)
    assert watch(replace(untouched, evidence=judged(judgement))) == watch(untouched)


@given(SITUATIONS)
def test_nothing_is_promoted_by_a_verdict_without_requests(at: Situation) -> None:
    if at.asked is None and at.strategy is Strategy.CANARY and at.counted == 0:
        assert not isinstance(next_move(at), Promote)


@given(SITUATIONS)
def test_paused_means_no_progress_but_by_a_persons_word(at: Situation) -> None:
    if at.paused and at.asked is None:
        assert not isinstance(next_move(at), (Advance, Promote))


@given(SITUATIONS)
def test_nothing_moves_forward_without_fresh_evidence(at: Situation) -> None:
    if at.asked is None and at.position.begun and at.fresh is None:
        assert not isinstance(next_move(at), (Advance, Promote))


@given(SITUATIONS)
def test_a_step_is_taken_by_one_and_only_with_the_pods_for_it(at: Situation) -> None:
    move = next_move(at)
    if isinstance(move, Advance):
        assert move.step == (at.position.step + 1 if at.position.begun else 0)
        assert move.weight >= at.position.weight
        assert at.candidate.carries(move.weight)
        assert at.stable is not None
        assert at.stable.carries(100)


@given(SITUATIONS)
def test_everything_goes_only_to_a_full_set_of_pods(at: Situation) -> None:
    if isinstance(next_move(at), Promote):
        assert at.candidate.carries(100)


@given(SITUATIONS)
def test_the_same_situation_gives_the_same_move_and_a_hold_says_why(at: Situation) -> None:
    move = next_move(at)
    if isinstance(move, Hold):
        assert move.message
        assert next_move(at) == move
