"""An API server in memory: what of its behaviour the core leans on, and no more.

It is held to the real one by tests/controlplane/test_api_model.py, which puts both through the same requests.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core_bench.published import assert_published

Document = dict[str, Any]
Key = tuple[str, str]

MANAGER = "penstock"
STATUS_KINDS = frozenset({"ModelDeployment", "Router", "Deployment"})
"""Kinds whose status is written by a request of its own."""
GENERATIONS = frozenset({"ModelDeployment", "Router", "ModelRevision", "Deployment", "NetworkPolicy"})
"""Kinds whose generation counts changes."""
ATOMIC = frozenset({"selector", "podSelector", "nodeSelector"})
"""Maps that an apply replaces whole."""
UNSEEN = {"observedGeneration": -1}
"""The status that an object of ours has before anybody wrote one, as the definitions say."""
OBSERVED = frozenset({"ModelDeployment", "Router"})
"""Our kinds with a status: each one that is ever stored is held against what is published of it."""
IMMUTABLE_SPECS = frozenset({"ModelRevision"})


class ConflictError(Exception):
    """409 Conflict: another version, or another object, than the request is about."""


class AlreadyExistsError(Exception):
    """409 AlreadyExists."""


class NotFoundError(Exception):
    """404."""


class InvalidError(Exception):
    """422. An apply to an object of another uid is refused so too."""


@dataclass
class ApiModel:
    """Objects of one namespace, by kind and name. What is given out is not copied: it must not be changed."""

    now: datetime
    objects: dict[Key, Document] = field(default_factory=dict)
    applied: dict[Key, Document] = field(default_factory=dict)
    unfilled: set[Key] = field(default_factory=set)
    """Objects whose status is shown with its default but not stored yet: the next write stores it, whatever it is."""
    events: dict[str, Document] = field(default_factory=dict)
    versions: int = 0
    uids: int = 0
    writes: int = 0

    def get(self, kind: str, name: str) -> Document | None:
        return self.objects.get((kind, name))

    def list(self, kind: str, labels: Mapping[str, str]) -> list[Document]:
        return [
            document
            for (its_kind, _), document in sorted(self.objects.items(), key=lambda item: item[0])
            if its_kind == kind and labels.items() <= (document["metadata"].get("labels") or {}).items()
        ]

    def create(self, manifest: Mapping[str, Any]) -> Document:
        document = copy.deepcopy(dict(manifest))
        key = key_of(document)
        if key in self.objects:
            raise AlreadyExistsError(str(key))
        if key[0] in STATUS_KINDS:
            document.pop("status", None)
        _fill(document)
        self.uids += 1
        document["metadata"] |= {
            "uid": f"00000000-0000-0000-0000-{self.uids:012d}",
            "creationTimestamp": self.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if key[0] in GENERATIONS:
            document["metadata"]["generation"] = 1
        self.applied[key] = copy.deepcopy(dict(manifest))
        self._sign(document, None)
        self._store(key, document)
        if key[0] in OBSERVED:
            self.unfilled.add(key)
        return document

    def apply(self, manifest: Mapping[str, Any]) -> Document:
        """Server-side apply, forced, by our manager, to an object that is there."""
        wanted = copy.deepcopy(dict(manifest))
        key = key_of(wanted)
        there = self.objects.get(key)
        metadata = wanted["metadata"]
        uid, version = metadata.pop("uid", None), metadata.pop("resourceVersion", None)
        if there is None:
            raise ConflictError("uid mismatch: there is no such object") if uid else NotFoundError(str(key))
        if version is not None and version != there["metadata"]["resourceVersion"]:
            raise ConflictError("another version")
        if uid is not None and uid != there["metadata"]["uid"]:
            raise InvalidError("metadata.uid is immutable")
        document = merged(copy.deepcopy(there), self.applied.get(key, {}), wanted)
        if key[0] in IMMUTABLE_SPECS and document.get("spec") != there.get("spec"):
            raise InvalidError("spec is immutable")
        self.applied[key] = wanted
        if document != there or key in self.unfilled:
            if key[0] in GENERATIONS and without_bookkeeping(document) != without_bookkeeping(there):
                document["metadata"]["generation"] += 1
            self._sign(document, None)
            self._store(key, document)
        return document

    def edit(self, kind: str, name: str, changes: Mapping[str, Any]) -> Document:
        """What another writer does to an object: fields are set, None removes. What it changes is no longer ours."""
        key = (kind, name)
        document = copy.deepcopy(self.objects[key])
        _patch(document, changes)
        _fill(document)
        _disown(self.applied.get(key, {}), self.objects[key], document)
        if key[0] in GENERATIONS and without_bookkeeping(document) != without_bookkeeping(self.objects[key]):
            document["metadata"]["generation"] += 1
        if document != self.objects[key] or key in self.unfilled:
            self._store(key, document)
        return document

    def replace_status(
        self, kind: str, name: str, uid: str, version: str | None, status: Mapping[str, Any]
    ) -> Document:
        """The version tells objects apart too, so the uid goes unchecked."""
        there = self.objects.get((kind, name))
        if there is None:
            raise NotFoundError(name)
        if version is not None and version != there["metadata"]["resourceVersion"]:
            raise ConflictError("another version")
        document = copy.deepcopy(there)
        document["status"] = copy.deepcopy(dict(status))
        _fill(document)
        if document != there or (kind, name) in self.unfilled:
            self._sign(document, "status")
            self._store((kind, name), document)
        return document

    def delete(self, kind: str, name: str, uid: str | None = None) -> None:
        there = self.objects.get((kind, name))
        if there is None:
            raise NotFoundError(name)
        if uid is not None and uid != there["metadata"]["uid"]:
            raise ConflictError("uid mismatch")
        del self.objects[(kind, name)]
        self.applied.pop((kind, name), None)
        self.writes += 1

    def collect_garbage(self) -> None:
        """Remove what only gone objects own."""
        while True:
            uids = {document["metadata"]["uid"] for document in self.objects.values()}
            gone = [
                key
                for key, document in self.objects.items()
                if (owners := [o["uid"] for o in document["metadata"].get("ownerReferences") or ()])
                and not uids.intersection(owners)
            ]
            if not gone:
                return
            for key in gone:
                del self.objects[key]
                self.applied.pop(key, None)

    def create_event(self, name: str, event: Mapping[str, Any]) -> None:
        if name in self.events:
            raise AlreadyExistsError(name)
        self.events[name] = dict(event)
        self.writes += 1

    def _sign(self, document: Document, subresource: str | None) -> None:
        """Note when we wrote it."""
        known = [it for it in document["metadata"].get("managedFields", ()) if it.get("subresource") != subresource]
        entry = {"manager": MANAGER, "time": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        document["metadata"]["managedFields"] = [*known, entry | ({"subresource": subresource} if subresource else {})]

    def _store(self, key: Key, document: Document) -> None:
        if key[0] in OBSERVED:
            assert_published(document)
        self.unfilled.discard(key)
        self.versions += 1
        self.writes += 1
        document["metadata"]["resourceVersion"] = str(self.versions)
        self.objects[key] = document


def _fill(document: Document) -> None:
    """Write the defaults of the definitions into an object."""
    if document["kind"] in OBSERVED:
        document["status"] = UNSEEN | (document.get("status") or {})


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Kind and name."""
    return str(manifest["kind"]), str(manifest["metadata"]["name"])


def without_bookkeeping(document: Mapping[str, Any]) -> Document:
    """What generation counts: all but metadata and status."""
    return {name: value for name, value in document.items() if name not in ("metadata", "status")}


def merged(live: Any, applied: Any, wanted: Any) -> Any:
    """What an apply makes of a value: what was applied before and is no longer wanted goes, what is wanted is set, what
    others set beside stays. Lists of named things are maps; other lists are replaced whole."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        before = applied if isinstance(applied, Mapping) else {}
        kept = {name: value for name, value in live.items() if name in wanted or name not in before}
        kept |= {name: _left(live[name], before[name]) for name in _shrunk(live, before, wanted)}
        result = {name: value for name, value in kept.items() if value is not _GONE}
        return result | {
            name: copy.deepcopy(value) if name in ATOMIC else merged(live.get(name), before.get(name), value)
            for name, value in wanted.items()
        }
    if _is_map(wanted) and isinstance(live, list) and _is_map(live):
        before = {it["name"]: it for it in applied} if isinstance(applied, list) and _is_map(applied) else {}
        ours = {it["name"]: it for it in wanted}
        result = [it for it in live if it["name"] in ours or it["name"] not in before]
        result = [merged(it, before.get(it["name"]), ours[it["name"]]) if it["name"] in ours else it for it in result]
        known = {it["name"] for it in result}
        return result + [copy.deepcopy(it) for it in wanted if it["name"] not in known]
    return copy.deepcopy(wanted)


_GONE = object()


def _shrunk(live: Mapping[str, Any], before: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Maps that we no longer ask for but that others may have added to."""
    return (name for name in before if name not in wanted and isinstance(live.get(name), Mapping))


def _left(live: Mapping[str, Any], before: Any) -> Any:
    """What others have in a map that we let go of."""
    left = merged(live, before, {})
    return left if left else _GONE


def _is_map(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(it, Mapping) and "name" in it for it in value)


def _disown(applied: Any, before: Any, after: Any) -> None:
    """Forget in `applied` what differs between the two."""
    if not (isinstance(applied, dict) and isinstance(before, Mapping) and isinstance(after, Mapping)):
        return
    for name in list(applied):
        if isinstance(applied[name], dict):
            _disown(applied[name], before.get(name), after.get(name))
        elif before.get(name) != after.get(name):
            del applied[name]


def _patch(document: Document, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(document.get(name, {}), dict):
            _patch(document.setdefault(name, {}), value)
        else:
            document[name] = copy.deepcopy(value)
