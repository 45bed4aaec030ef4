"""Who owns an object, and what it takes to make it as it should be without ever taking another's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from penstock.reconcile.drift import first_difference, stamped
from penstock.reconcile.effects import Apply, Create, Delete, Effect, Ref, ref_of
from penstock.render.metadata import Owner
from penstock.world import Live, Manifest


class Standing(Enum):
    """What is there under a name."""

    ABSENT = auto()
    OURS = auto()
    LEAVING = auto()
    """It is ours and being deleted, or belonged to an owner of the same name that is gone: it will go by itself."""
    FOREIGN = auto()
    """Somebody else's. It is never written to."""


def standing_of(live: Live | None, owner: Owner) -> Standing:
    """What is there, seen from this owner."""
    if live is None:
        return Standing.ABSENT
    if owner.uid in live.owners:
        return Standing.LEAVING if live.deleting else Standing.OURS
    references = live.metadata.get("ownerReferences") or ()
    predecessor = any(ref.get("kind") == owner.kind and ref.get("name") == owner.name for ref in references)
    return Standing.LEAVING if predecessor else Standing.FOREIGN


@dataclass(frozen=True, slots=True)
class Estate:
    """The objects that are there, and the one they should belong to."""

    owner: Owner
    objects: Mapping[tuple[str, str], Live] = field(default_factory=dict)

    @classmethod
    def of(cls, owner: Owner, objects: Iterable[Live]) -> "Estate":
        """The estate of an owner."""
        return cls(owner, {(live.kind, live.name): live for live in objects})

    def find(self, kind: str, name: str) -> Live | None:
        """The object of that name."""
        return self.objects.get((kind, name))

    def standing(self, kind: str, name: str) -> Standing:
        """What is there under that name."""
        return standing_of(self.find(kind, name), self.owner)

    def settle(self, wanted: Manifest) -> Iterator[Effect]:
        """Create the object when it is absent, apply it when ours differs, else nothing: a foreign one is left alone,
        one that is leaving is waited for."""
        manifest = stamped(wanted)
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        live = self.find(kind, name)
        match standing_of(live, self.owner):
            case Standing.ABSENT:
                yield Create(manifest)
            case Standing.OURS if live is not None:
                difference = first_difference(manifest, live.manifest)
                if difference is not None:
                    yield Apply(identified(manifest, live.uid), difference)

    def remove(self, kind: str, name: str, why: str) -> Iterator[Effect]:
        """Delete the object if it is ours and not on its way already."""
        live = self.find(kind, name)
        if live is not None and standing_of(live, self.owner) is Standing.OURS:
            yield Delete(ref_of(live.manifest), live.uid, why)


def identified(manifest: Manifest, uid: str, resource_version: str = "") -> Manifest:
    """The manifest for this very object, in this very version when one is given."""
    version = {"resourceVersion": resource_version} if resource_version else {}
    return {**manifest, "metadata": {**manifest["metadata"], "uid": uid, **version}}


def taken(estate: Estate, names: Iterable[Ref]) -> Ref | None:
    """The first of these names that belongs to somebody else."""
    return next((ref for ref in names if estate.standing(ref.kind, ref.name) is Standing.FOREIGN), None)


def leaving(estate: Estate, names: Iterable[Ref]) -> Ref | None:
    """The first of these names that is not free yet."""
    return next((ref for ref in names if estate.standing(ref.kind, ref.name) is Standing.LEAVING), None)
