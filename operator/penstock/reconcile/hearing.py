"""What people ask for by annotation, and the memory of what was answered.

An annotation stays, because the operator never edits a user's metadata. So what was answered is noted on the revision
that it names: each annotation acts once, however often it is seen, also when the status is lost; taking it away and
writing it again asks anew.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from penstock.api.actions import Action, Verb, actions_in
from penstock.api.base import clip
from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.names import GROUP
from penstock.api.status import ActionResult, LastAction
from penstock.reconcile.book import Book

ANNOTATION_ANSWERED = f"{GROUP}/answered"
"""On a ModelRevision: JSON list of the actions naming it that were answered."""

_LONGEST_VALUE = 128


@dataclass(frozen=True, slots=True)
class Request:
    """An action that may act now on a revision; `value` is the annotation's."""

    verb: Verb
    revision: str
    value: str


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the annotations ask for in this pass. `released` is asked of the candidate, or of the stable revision while
    it is watched; `retry` of a rejected one; `homeless` is an answer that there is no revision yet to note it on."""

    released: Request | None = None
    retry: Action | None = None
    homeless: LastAction | None = None


def hear(
    annotations: Mapping[str, str], book: Book, wanted: str | None, watched: str | None, now: datetime
) -> tuple[Book, Hearing]:
    """Read the annotations; the book with everything noted that is to be ignored, or that is asked no longer.

    `wanted` is the revision that the spec asks for, `watched` the stable one while it may still be taken back.
    """
    values = {verb: _value(annotations, verb) for verb in Verb if verb.annotation in annotations}
    book = _forget(book, values)
    told = {it.verb for revision in book.revisions.values() for it in answered(revision)}
    actions, problems = actions_in(annotations)
    against = {Verb(problem.field.rpartition("/")[2].rstrip("]")): problem.says for problem in problems}
    against |= {action.verb: _against(action, book, wanted, watched) for action in actions}
    hearing = Hearing()
    for verb in (verb for verb in Verb if verb in values and verb not in told):
        if not against[verb]:
            continue
        request = Request(verb, _home(book, actions, verb), values[verb])
        if request.revision:
            book = note(book, request, ActionResult.IGNORED, against[verb], now)
        elif hearing.homeless is None:
            hearing = replace(hearing, homeless=_answer(request, ActionResult.IGNORED, against[verb], now))
    for action in actions:
        if action.verb in told or against[action.verb]:
            continue
        if action.verb is Verb.RETRY:
            hearing = replace(hearing, retry=action)
        elif hearing.released is None or action.verb is Verb.ABORT:
            hearing = replace(hearing, released=Request(action.verb, action.revision, values[action.verb]))
    return book, hearing


def _home(book: Book, actions: Iterable[Action], verb: Verb) -> str:
    """The revision that an answer is noted on: the one that is named, if it is there, else one that stays."""
    named = next((action.revision for action in actions if action.verb is verb), "")
    if book.find(named) is not None:
        return named
    stays = book.stable or book.candidate
    return max(book.revisions, default="") if stays is None else stays.metadata.name


def note(book: Book, request: Request, result: ActionResult, message: str, now: datetime) -> Book:
    """The book with an answer noted on the revision."""
    revision = book.find(request.revision)
    assert revision is not None
    kept = tuple(it for it in answered(revision) if it.verb is not request.verb)
    return book.write(_with_answers(revision, (*kept, _answer(request, result, message, now))))


def _answer(request: Request, result: ActionResult, message: str, now: datetime) -> LastAction:
    return LastAction(verb=request.verb, value=request.value, result=result, at=now, message=message)


def answered(revision: ModelRevision) -> tuple[LastAction, ...]:
    """The actions that were answered, as noted on a revision. What cannot be read was not written by us."""
    text = revision.metadata.annotations.get(ANNOTATION_ANSWERED, "")
    try:
        return tuple(LastAction.model_validate(entry) for entry in json.loads(text)) if text else ()
    except (ValueError, TypeError):
        return ()


def last_action(book: Book, homeless: LastAction | None, before: LastAction | None) -> LastAction | None:
    """The newest answer of all. One that is noted nowhere is remembered by the status alone, and told once."""
    known = [it for revision in book.revisions.values() for it in answered(revision)]
    if before is not None:
        known.append(before)
    if homeless is not None and not any((it.verb, it.value) == (homeless.verb, homeless.value) for it in known):
        return homeless
    return max(known, key=lambda it: (it.at, it.verb, it.value), default=None)


def _forget(book: Book, values: Mapping[Verb, str]) -> Book:
    """Drop the answers to annotations that are there no longer, or not with this value."""
    for revision in list(book.revisions.values()):
        answers = answered(revision)
        kept = tuple(it for it in answers if values.get(it.verb) == it.value)
        if kept != answers:
            book = book.write(_with_answers(revision, kept))
    return book


def _with_answers(revision: ModelRevision, answers: tuple[LastAction, ...]) -> ModelRevision:
    annotations = {key: text for key, text in revision.metadata.annotations.items() if key != ANNOTATION_ANSWERED}
    if answers:
        entries = [json.loads(it.model_dump_json(by_alias=True)) for it in answers]
        annotations[ANNOTATION_ANSWERED] = json.dumps(entries, separators=(",", ":"))
    metadata = revision.metadata.model_copy(update={"annotations": annotations})
    return revision.model_copy(update={"metadata": metadata})


def _against(action: Action, book: Book, wanted: str | None, watched: str | None) -> str:
    """Why an action cannot act; empty when it can."""
    name, candidate, revision = action.revision, book.candidate, book.find(action.revision)
    if revision is None:
        return f"There is no revision {name}; {_known(book)}."
    is_candidate = candidate is not None and candidate.metadata.name == name and name == wanted
    match action.verb:
        case Verb.PROMOTE:
            return "" if is_candidate else f"{name} is not being released; {_released(candidate)}."
        case Verb.ABORT:
            return "" if is_candidate or name == watched else f"{name} is not being released; {_released(candidate)}."
        case Verb.RETRY:
            return _against_retry(action, revision, wanted)


def _against_retry(action: Action, revision: ModelRevision, wanted: str | None) -> str:
    record = revision.record
    if record.role is not Role.REJECTED:
        return f"{action.revision} was not taken back, so there is nothing to retry."
    if action.revision != wanted:
        return f"The spec asks for {wanted or 'another revision'}; write {action.revision}'s model into it first."
    if record.retried_at is not None and action.at is not None and action.at <= record.retried_at:
        return "A retry of that time or a later one was done already; write a newer time."
    return ""


def _released(candidate: ModelRevision | None) -> str:
    return "no release is under way" if candidate is None else f"{candidate.metadata.name} is"


def _known(book: Book) -> str:
    names = sorted(book.revisions)
    return f"known are {', '.join(names[-3:])}" if names else "there are none yet"


def _value(annotations: Mapping[str, str], verb: Verb) -> str:
    return clip(annotations[verb.annotation].strip(), _LONGEST_VALUE)
