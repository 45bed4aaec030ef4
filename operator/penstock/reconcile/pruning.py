"""Which revisions are forgotten: the oldest of those that are over."""

from collections.abc import Iterator

from penstock.api.modelrevision import ModelRevision, Role
from penstock.api.names import API_VERSION
from penstock.reconcile.book import Book, epoch_of
from penstock.reconcile.effects import Delete, Effect, Ref
from penstock.world import World

KEPT = 10
"""Revisions kept of those that were promoted or superseded."""
KEPT_REJECTED = 50
"""Rejections kept: a forgotten one would be released again."""


def prune(world: World, book: Book, wanted: str | None) -> Iterator[Effect]:
    """Delete what is beyond the limits.

    Never the stable revision, the candidate, the wanted or the warm one, one that still has pods, nor the one that
    carries the newest epoch, from which the next is counted.
    """
    with_pods = {workload.revision for workload in world.workloads}
    over = [revision for revision in book.revisions.values() if _is_over(revision, book, wanted, with_pods)]
    rejected = [revision for revision in over if revision.record.role is Role.REJECTED]
    others = [revision for revision in over if revision.record.role is not Role.REJECTED]
    for revision in (*_beyond(others, KEPT), *_beyond(rejected, KEPT_REJECTED)):
        metadata = revision.metadata
        ref = Ref(API_VERSION, revision.kind, metadata.namespace, metadata.name)
        yield Delete(ref, metadata.uid, "it is beyond the number of revisions that are kept")


def _is_over(revision: ModelRevision, book: Book, wanted: str | None, with_pods: set[str]) -> bool:
    name = revision.metadata.name
    needed = {wanted, *(it.metadata.name for it in (book.stable, book.candidate, book.previous) if it is not None)}
    return name not in needed and name not in with_pods and name not in book.changed and epoch_of(revision) < book.epoch


def _beyond(revisions: list[ModelRevision], kept: int) -> list[ModelRevision]:
    def newest_first(revision: ModelRevision) -> tuple[float, str]:
        since = revision.record.since
        return (0.0 if since is None else -since.timestamp(), revision.metadata.name)

    return sorted(revisions, key=newest_first)[kept:]
