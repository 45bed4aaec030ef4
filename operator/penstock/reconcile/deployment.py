"""One pass over one ModelDeployment: the snapshot in, the effects out.

The order is that of importance and of safety: records that take traffic away, the other records, the router's call,
then pods and other objects, what may go, and last what people are told. Each record is one write, and every cut between
two effects leaves a world from which the next pass comes to the same end.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import API_VERSION, DEFAULT_ROUTER
from penstock.api.phases import Phase
from penstock.api.reasons import Reason
from penstock.api.status import ModelDeploymentStatus
from penstock.reconcile.book import Book
from penstock.reconcile.children import (
    fixed_names,
    leftovers,
    owner_of,
    revision_names,
    settle_children,
)
from penstock.reconcile.decide import Decided, decide, watch_ends
from penstock.reconcile.effects import Apply, Create, Delete, Effect, Queue, Ref, Requeue, Status, ref_of
from penstock.reconcile.events import events_of
from penstock.reconcile.hearing import ANNOTATION_ANSWERED, Hearing
from penstock.reconcile.in_force import ANNOTATION_IN_FORCE
from penstock.reconcile.obstacles import obstacle_of
from penstock.reconcile.outlook import Outlook, outlook_of
from penstock.reconcile.owning import Estate, identified
from penstock.reconcile.pruning import prune
from penstock.reconcile.status import needs_writing, status_of
from penstock.reconcile.wanted import Wanted, wanted_of
from penstock.render.metadata import Owner
from penstock.render.model_revision import model_revision
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import Defaults, World

SOON = timedelta(seconds=5)
"""When what is in the way should be gone by itself, so long until the next look."""
RESYNC = timedelta(minutes=1)
"""While a release is under way, so often at least it is looked at."""
AGAIN = timedelta(minutes=1)
"""When a person must act, so long until the next look or try."""

_NOTES = (ANNOTATION_ANSWERED, ANNOTATION_IN_FORCE)
"""What is kept on a ModelRevision beside its record."""


def names_of(deployment: ModelDeployment, defaults: Defaults) -> tuple[Ref, ...]:
    """Objects that must be read by their exact name, whatever their labels, so that a taken name is seen."""
    wanted = wanted_of(deployment.metadata.name, deployment.spec, defaults)
    revision = () if isinstance(wanted, Trouble) else revision_names(deployment, wanted.name)
    return (*fixed_names(deployment), *revision)


def reconcile(world: World) -> Iterator[Effect]:
    """The effects of one pass, in order."""
    if world.deployment.metadata.deletion_timestamp is not None:
        return
    wanted, obstacle, estate = _asked(world)
    decided = decide(world, wanted, obstacle)
    if world.obstacle is not None or world.namespace_terminating:
        yield from _told(world, wanted)
        return
    yield from _written(world, decided.book, estate.owner)
    yield from _called(world, decided.book)
    yield from settle_children(world, estate, decided)
    yield from _cleared(world, decided, wanted)
    outlook = outlook_of(world, decided, wanted, obstacle)
    yield from _published(world, decided, None if world.unreadable else wanted, outlook)
    yield from _looked_at_again(world, decided, outlook, obstacle)


def _asked(world: World) -> tuple[Wanted | None, Trouble | None, Estate]:
    deployment = world.deployment
    wanted = wanted_of(deployment.metadata.name, deployment.spec, world.defaults)
    live = (*(workload.live for workload in world.workloads), *world.objects)
    estate = Estate.of(owner_of(deployment), live)
    return (None if isinstance(wanted, Trouble) else wanted), obstacle_of(world, estate, wanted), estate


def _written(world: World, book: Book, owner: Owner) -> Iterator[Effect]:
    """The changed records, those that take traffic away first, and the router's call right behind them."""
    before = Book.of(world.revisions)
    for name in sorted(book.changed, key=lambda name: not _loses_traffic(before, book, name)):
        revision = book.revisions[name]
        notes = {key: text for key in _NOTES if (text := revision.metadata.annotations.get(key, ""))}
        manifest = model_revision(owner, name, revision.spec, revision.record, notes)
        if revision.metadata.uid:
            version = revision.metadata.resource_version
            yield Apply(identified(manifest, revision.metadata.uid, version), _became(before, revision))
        else:
            yield Create(manifest)
        if _loses_traffic(before, book, name):
            yield _call(world)


def _loses_traffic(before: Book, after: Book, name: str) -> bool:
    old, new = before.find(name), after.revisions[name]
    return old is not None and _weight(new) < _weight(old)


def _weight(revision: ModelRevision) -> int:
    return 0 if revision.record.release is None else revision.record.release.weight


def _became(before: Book, revision: ModelRevision) -> str:
    old = before.find(revision.metadata.name)
    record = revision.record
    if old is not None and (old.record.role, _weight(old)) == (record.role, _weight(revision)):
        return "its record changed"
    return f"it is {record.role.value} with {_weight(revision)} %"


def _called(world: World, book: Book) -> Iterator[Effect]:
    """Call the router when its table is not at the records' epoch."""
    if book.revisions and (world.route.port is None or world.route.epoch != book.epoch):
        yield _call(world)


def _call(world: World) -> Requeue:
    return Requeue(Queue.ROUTER, world.deployment.metadata.namespace, DEFAULT_ROUTER, timedelta(0))


def _cleared(world: World, decided: Decided, wanted: Wanted | None) -> Iterator[Effect]:
    for leftover in leftovers(world, decided):
        if world.now >= leftover.goes_at:
            yield Delete(ref_of(leftover.live.manifest), leftover.live.uid, "its revision gets no more traffic")
    yield from prune(world, decided.book, None if wanted is None else wanted.name)


def _published(world: World, decided: Decided, wanted: Wanted | None, outlook: Outlook) -> Iterator[Effect]:
    status = status_of(world, decided, wanted, outlook)
    if needs_writing(world, status):
        yield from events_of(world.deployment, status)
        yield _status(world, status)


def _status(world: World, status: ModelDeploymentStatus) -> Status:
    metadata = world.deployment.metadata
    ref = Ref(API_VERSION, world.deployment.kind, metadata.namespace, metadata.name)
    return Status(ref, metadata.uid, metadata.resource_version, status, status.epoch)


def _looked_at_again(world: World, decided: Decided, outlook: Outlook, obstacle: Trouble | None) -> Iterator[Effect]:
    """When time alone may change something."""
    times: list[datetime] = [leftover.goes_at for leftover in leftovers(world, decided)]
    if outlook.until is not None:
        times.append(outlook.until)
    if obstacle is not None:
        times.append(world.now + (SOON if obstacle.cure is Cure.TIME else AGAIN))
    candidate, stable = decided.book.candidate, decided.book.stable
    if candidate is not None and candidate.record.release is not None:
        deadline = candidate.record.release.started_at + world.deployment.spec.rollout.deadline.timedelta
        times += [world.now + RESYNC, deadline]
    if stable is not None and (ends := watch_ends(world, stable)) is not None:
        times.append(ends)
    ahead = [time - world.now for time in times if time > world.now]
    if ahead:
        metadata = world.deployment.metadata
        yield Requeue(Queue.DEPLOYMENT, metadata.namespace, metadata.name, max(min(ahead), timedelta(seconds=1)))


def _told(world: World, wanted: Wanted | None) -> Iterator[Effect]:
    """Nothing can be written but the status: tell what is in the way, and try again later."""
    if world.obstacle is not None:
        reason, message = world.obstacle.reason, world.obstacle.message
    else:
        reason = Reason.NAMESPACE_TERMINATING
        message = f"The namespace {world.deployment.metadata.namespace} is being deleted; nothing can be made in it."
    outlook = Outlook(Phase.REFUSED, reason, message)
    # The records as they are: what was decided could not be written.
    as_it_is = Decided(Book.of(world.revisions), None, Hearing())
    yield from _published(world, as_it_is, wanted, outlook)
    metadata = world.deployment.metadata
    yield Requeue(Queue.DEPLOYMENT, metadata.namespace, metadata.name, AGAIN)
