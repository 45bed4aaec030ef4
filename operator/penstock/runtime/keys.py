"""What is queued: which object is to be reconciled, and by which reconcile."""

from dataclasses import dataclass

from penstock.reconcile.effects import Queue


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object. `queue` says which reconcile it is for."""

    queue: Queue
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.queue.value} {self.namespace}/{self.name}"
