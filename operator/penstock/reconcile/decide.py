"""From the snapshot to the records as they should be: what starts, goes on, ends, is taken back.

Each step reads the book as the one before left it. Nothing is written here; the changed records are, in this order.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.api.actions import Verb
from penstock.api.metadata import ObjectMeta
from penstock.api.modelrevision import ModelRevision, ModelRevisionSpec, Record, Role
from penstock.api.reasons import Reason
from penstock.api.status import ActionResult
from penstock.reconcile import records
from penstock.reconcile.assess import evidence_of, failure_of, situation_of
from penstock.reconcile.book import Book
from penstock.reconcile.hearing import Hearing, Request, hear, note
from penstock.reconcile.in_force import noted
from penstock.reconcile.lost import lost_stable
from penstock.reconcile.served import with_served
from penstock.reconcile.terms import terms_of
from penstock.reconcile.wanted import Wanted
from penstock.rollout.machine import next_move, next_move_of_first, watch
from penstock.rollout.moves import Advance, Hold, Move, Promote, TakeBack
from penstock.rollout.trouble import Trouble
from penstock.world import World

REFRESH = timedelta(minutes=1)
"""The judge's memory and what else only tells how far things are is written no more often than this."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The records as they should be, why nothing moved if nothing did, and what was heard."""

    book: Book
    hold: Hold | None
    hearing: Hearing


def decide(world: World, wanted: Wanted | None, obstacle: Trouble | None) -> Decided:
    """Decide on everything but the pods.

    `wanted` is the revision that the spec asks for, None when it cannot be told; `obstacle` what forbids progress.
    """
    now = whole_second(world.now)
    book = _tidied(_found_again(Book.of(world.revisions), world, now), world, now)
    name = None if wanted is None else wanted.name
    book, hearing = hear(world.deployment.metadata.annotations, book, name, watched(world, book), now)
    book = _ended(book, world, name, now)
    book = _begun(book, world, wanted, obstacle, hearing, now)
    book, hold = _moved(book, world, obstacle, hearing, now)
    book = _memorised(with_served(book, world.pods), world)
    return Decided(book if world.unreadable else noted(book, world.deployment), hold, hearing)


def whole_second(instant: datetime) -> datetime:
    """As the API stores it."""
    return instant.replace(microsecond=0)


def watched(world: World, book: Book) -> str | None:
    """The stable revision while it may still be taken back: its predecessor is warm, and no other release has begun."""
    if book.stable is None or book.candidate is not None or warm_previous(world, book) is None:
        return None
    return book.stable.metadata.name


def warm_previous(world: World, book: Book) -> ModelRevision | None:
    """The revision that the stable one took the place of, until the watch over that is over."""
    stable, previous = book.stable, book.previous
    if stable is None or previous is None or stable is previous:
        return None
    promoted_at, ends, since = stable.record.promoted_at, watch_ends(world, stable), previous.record.since
    if promoted_at is None or ends is None or since is None:
        return None
    return previous if world.now < ends and since >= promoted_at else None


def watch_ends(world: World, stable: ModelRevision) -> datetime | None:
    """When the watch over a promoted revision ends."""
    promoted_at = stable.record.promoted_at
    return None if promoted_at is None else promoted_at + world.deployment.spec.rollout.watch_for.timedelta


def _found_again(book: Book, world: World, now: datetime) -> Book:
    """A serving revision whose object was deleted by hand is written again from what its Deployment says."""
    lost = lost_stable(world, book)
    if lost is None:
        return book
    terms = terms_of(world.deployment.spec.rollout)
    epoch = max(book.epoch, world.route.epoch or 0)
    record = records.promoted(
        records.started(Record(), now, epoch, terms), Reason.PROMOTED, "It was serving already.", now, epoch
    )
    return book.write(_new(world, lost.name, lost.spec, record))


def _tidied(book: Book, world: World, now: datetime) -> Book:
    """Finish what an earlier pass began: one stable revision, one candidate, an epoch that no router is ahead of."""
    stable, candidate = book.stable, book.candidate
    for revision in book.having(Role.STABLE):
        if revision is not stable:
            book = book.record(revision, records.demoted(revision.record, now))
    for revision in book.having(Role.CANDIDATE):
        if revision is not candidate:
            book = book.record(revision, _superseded(revision, book, now))
    if stable is not None and stable.record.role is Role.PREVIOUS:
        book = book.record(stable, records.reinstated(stable.record, now, book.epoch))
    return _caught_up(book, world.route.epoch or 0)


def _caught_up(book: Book, ahead: int) -> Book:
    """Routers ignore what is older than what they have; records from a backup may be."""
    leader = book.stable or book.candidate
    if ahead <= book.epoch or leader is None or leader.record.release is None:
        return book
    release = leader.record.release.model_copy(update={"epoch": ahead + 1})
    return book.record(leader, leader.record.model_copy(update={"release": release}))


def _superseded(revision: ModelRevision, book: Book, now: datetime) -> Record:
    return records.superseded(
        revision.record, Reason.SUPERSEDED, "The spec asks for another revision.", now, book.epoch
    )


def _ended(book: Book, world: World, wanted: str | None, now: datetime) -> Book:
    """A candidate that the spec no longer asks for gets no more traffic."""
    candidate, stable = book.candidate, book.stable
    if candidate is None or candidate.metadata.name == wanted:
        return book
    failed = failure_of(world, candidate)
    if failed is not None:
        record = records.superseded(candidate.record, failed.reason, failed.message, now, book.epoch)
        return book.record(candidate, record)
    if stable is not None and stable.metadata.name == wanted:
        record = records.superseded(
            candidate.record, Reason.RETURNED, "The spec asks for the stable revision again.", now, book.epoch
        )
        return book.record(candidate, record)
    return book.record(candidate, _superseded(candidate, book, now))


def _begun(
    book: Book, world: World, wanted: Wanted | None, obstacle: Trouble | None, hearing: Hearing, now: datetime
) -> Book:
    """Start the release of the wanted revision, unless it is under way, over, or forbidden."""
    if wanted is None or obstacle is not None or world.deployment.spec.paused or book.candidate is not None:
        return book
    stable, there = book.stable, book.find(wanted.name)
    if stable is not None and stable.metadata.name == wanted.name:
        return book
    retry = hearing.retry
    if there is not None and there.record.role is Role.REJECTED and retry is None:
        return book
    before = Record() if there is None else there.record
    record = records.started(before, now, book.epoch, terms_of(world.deployment.spec.rollout))
    if there is None:
        return book.write(_new(world, wanted.name, wanted.spec, record))
    if retry is None:
        return book.record(there, record)
    book = book.record(there, record.model_copy(update={"retried_at": retry.at}))
    value = world.deployment.metadata.annotations[Verb.RETRY.annotation]
    return note(book, Request(Verb.RETRY, wanted.name, value.strip()), ActionResult.DONE, "Released anew.", now)


def _new(world: World, name: str, spec: ModelRevisionSpec, record: Record) -> ModelRevision:
    metadata = ObjectMeta(name=name, namespace=world.deployment.metadata.namespace)
    return ModelRevision(
        api_version="penstock.dev/v1alpha1", kind="ModelRevision", metadata=metadata, spec=spec, record=record
    )


def _moved(
    book: Book, world: World, obstacle: Trouble | None, hearing: Hearing, now: datetime
) -> tuple[Book, Hold | None]:
    """Let the release under way, or the watch after one, make its next move."""
    candidate, stable = book.candidate, book.stable
    if candidate is not None:
        asked = _asked(hearing, candidate)
        situation = situation_of(world, candidate, stable, asked, obstacle)
        move = next_move_of_first(situation) if stable is None else next_move(situation)
        return _made(book, candidate, move, hearing.released, now)
    previous = warm_previous(world, book)
    if previous is None or stable is None or stable.record.release is None:
        return book, None
    taken_back = watch(situation_of(world, stable, previous, _asked(hearing, stable), None))
    if taken_back is None:
        return book, None
    book, _ = _made(book, stable, taken_back, hearing.released, now)
    return book.record(previous, records.reinstated(previous.record, now, book.epoch)), None


def _asked(hearing: Hearing, revision: ModelRevision) -> Verb | None:
    request = hearing.released
    return request.verb if request is not None and request.revision == revision.metadata.name else None


def _made(
    book: Book, revision: ModelRevision, move: Move, request: Request | None, now: datetime
) -> tuple[Book, Hold | None]:
    record, epoch = revision.record, book.epoch
    match move:
        case Hold():
            return book, move
        case Advance(step, weight):
            return book.record(revision, records.advanced(record, step, weight, now, epoch)), None
        case Promote(reason, message):
            stable = book.stable
            book = book.record(revision, records.promoted(record, reason, message, now, epoch))
            if stable is not None:
                book = book.record(stable, records.demoted(stable.record, now))
            return _answered(book, Verb.PROMOTE, request, now), None
        case TakeBack(reason, message):
            book = book.record(revision, records.rejected(record, reason, message, now, epoch))
            return _answered(book, Verb.ABORT, request, now), None


def _answered(book: Book, verb: Verb, request: Request | None, now: datetime) -> Book:
    if request is None or request.verb is not verb:
        return book
    message = "Promoted." if verb is Verb.PROMOTE else "Taken back."
    return note(book, request, ActionResult.DONE, message, now)


def _memorised(book: Book, world: World) -> Book:
    """Keep the judge's memory: with every other change of that record, else once a minute."""
    for revision in (book.candidate, book.stable, *map(book.find, book.changed)):
        if revision is None:
            continue
        name = revision.metadata.name
        evidence = evidence_of(world, revision)
        if evidence is not None and (name in book.changed or _is_due(world.recorded_at.get(name), world.now)):
            book = book.record(revision, records.remembered(revision.record, evidence))
    return book


def refresh_due(world: World) -> bool:
    """Whether a status that only tells how far things are may be written again."""
    return _is_due(world.written_at, world.now)


def _is_due(last: datetime | None, now: datetime) -> bool:
    return last is None or now - last >= REFRESH
