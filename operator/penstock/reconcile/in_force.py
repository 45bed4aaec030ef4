"""The spec that is in force: the newest one, or, when that cannot be read, the last one that could.

A spec is noted on the revision that leads, so that judging, rolling back and repair go on by it, whatever the newest one
has become: stored before a rule was made stricter, for instance.
"""

import json
from collections.abc import Iterable

from penstock.api.errors import BadManifestError, Problem
from penstock.api.live import read
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import GROUP
from penstock.reconcile.book import Book
from penstock.world import Live, Manifest

ANNOTATION_IN_FORCE = f"{GROUP}/deployment-spec"
"""On a ModelRevision: JSON with a generation of its ModelDeployment and the spec that it had."""

LONGEST = 128 * 1024
"""Bytes of a spec that is noted; the API server takes twice that of all annotations."""


def readable(document: Manifest, revisions: Iterable[Manifest]) -> tuple[Manifest, tuple[Problem, ...]]:
    """A ModelDeployment with the spec in force, and what is wrong with its own; nothing is when they are the same.

    `revisions` are ModelRevisions, of others too. Raises BadManifestError when neither can be read.
    """
    try:
        read(ModelDeployment, document)
    except BadManifestError as error:
        uid = str(document["metadata"].get("uid", ""))
        noted = [note for it in revisions if uid in Live(it).owners and (note := _note(it)) is not None]
        if not noted:
            raise
        _, spec = max(noted, key=lambda note: note[0])
        kept = {**document, "spec": spec}
        try:
            read(ModelDeployment, kept)
        except BadManifestError:
            raise error from None
        return kept, error.problems
    return document, ()


def noted(book: Book, deployment: ModelDeployment) -> Book:
    """The book with the spec noted on the revision that leads, when what is noted there is another generation's."""
    leader = book.candidate or book.stable
    if leader is None:
        return book
    generation = deployment.metadata.generation
    known = _note({"metadata": {"annotations": leader.metadata.annotations}})
    if known is not None and known[0] == generation:
        return book
    spec = deployment.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    text = json.dumps({"generation": generation, "spec": spec}, sort_keys=True, separators=(",", ":"))
    return book if len(text.encode()) > LONGEST else book.write(_with(leader, text))


def _with(revision: ModelRevision, text: str) -> ModelRevision:
    annotations = {**revision.metadata.annotations, ANNOTATION_IN_FORCE: text}
    metadata = revision.metadata.model_copy(update={"annotations": annotations})
    return revision.model_copy(update={"metadata": metadata})


def _note(revision: Manifest) -> tuple[int, Manifest] | None:
    """What is noted on a revision. What cannot be read was not written by us."""
    text = (revision["metadata"].get("annotations") or {}).get(ANNOTATION_IN_FORCE, "")
    try:
        found = json.loads(text)
        return int(found["generation"]), dict(found["spec"])
    except (ValueError, TypeError, KeyError):
        return None
