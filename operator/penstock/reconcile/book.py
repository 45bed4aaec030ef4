"""The revisions of a deployment and what each is to it, with the changes of one pass.

The records are the memory; this reads the roles from them so that every cut between two writes has one meaning. Of two
stable revisions the one with the higher epoch counts, because a promotion is one write and the demotion another. With
none, the last one that was stable counts, because taking a promoted revision back is one write and its successor's
record another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from penstock.api.modelrevision import ModelRevision, Record, Role


@dataclass(frozen=True, slots=True)
class Book:
    """All revisions by name. `changed` lists those that this pass writes, in the order of writing."""

    revisions: Mapping[str, ModelRevision]
    changed: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, revisions: Iterable[ModelRevision]) -> "Book":
        """The revisions as they are."""
        return cls({revision.metadata.name: revision for revision in revisions})

    def find(self, name: str) -> ModelRevision | None:
        """The revision of that name."""
        return self.revisions.get(name)

    def having(self, role: Role) -> list[ModelRevision]:
        """All revisions with a role."""
        return [revision for revision in self.revisions.values() if revision.record.role is role]

    @property
    def stable(self) -> ModelRevision | None:
        """The revision that serves."""
        return max(self.having(Role.STABLE), key=_by_epoch, default=None) or self.previous

    @property
    def candidate(self) -> ModelRevision | None:
        """The revision that is being released."""
        return max(self.having(Role.CANDIDATE), key=_by_start, default=None)

    @property
    def previous(self) -> ModelRevision | None:
        """The revision that was stable last before the present one."""
        return max(self.having(Role.PREVIOUS), key=_by_since, default=None)

    @property
    def epoch(self) -> int:
        """Epoch of the last change of weights."""
        return max((epoch_of(revision) for revision in self.revisions.values()), default=0)

    def write(self, revision: ModelRevision) -> "Book":
        """The book with this revision in place of what was there, to be written after the changes so far."""
        name = revision.metadata.name
        changed = self.changed if name in self.changed else (*self.changed, name)
        return replace(self, revisions={**self.revisions, name: revision}, changed=changed)

    def record(self, revision: ModelRevision, record: Record) -> "Book":
        """The book with another record for a revision; the same book when it is no other."""
        if record == revision.record:
            return self
        return self.write(revision.model_copy(update={"record": record}))


def epoch_of(revision: ModelRevision) -> int:
    """Epoch of the last weight that this revision was given."""
    return 0 if revision.record.release is None else revision.record.release.epoch


def _by_epoch(revision: ModelRevision) -> tuple[int, str]:
    return epoch_of(revision), revision.metadata.name


def _by_start(revision: ModelRevision) -> tuple[float, str]:
    release = revision.record.release
    return _seconds(None if release is None else release.started_at), revision.metadata.name


def _by_since(revision: ModelRevision) -> tuple[float, int, str]:
    return _seconds(revision.record.since), epoch_of(revision), revision.metadata.name


def _seconds(instant: datetime | None) -> float:
    return 0.0 if instant is None else instant.timestamp()
