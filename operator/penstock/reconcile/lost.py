"""A serving revision whose ModelRevision was deleted by hand, read back from its Deployment."""

import json

from pydantic import ValidationError

from penstock.api.modelrevision import ModelRevisionSpec
from penstock.reconcile.book import Book
from penstock.reconcile.wanted import Wanted
from penstock.render.serving_deployment import ANNOTATION_SPEC
from penstock.world import World


def lost_stable(world: World, book: Book) -> Wanted | None:
    """The revision that has pods but no ModelRevision any more, and that the router sends the traffic to; when no
    router tells and nothing else is known, the only one that has ready pods."""
    ours = [it for it in world.workloads if world.deployment.metadata.uid in it.live.owners and not it.live.deleting]
    serving = [it for it in ours if it.ready > 0 and it.revision == world.route.stable]
    if not world.route.stable and not book.revisions:
        serving = [it for it in ours if it.ready > 0]
    if len(serving) != 1 or book.find(serving[0].revision) is not None:
        return None
    (workload,) = serving
    annotations = workload.live.metadata.get("annotations") or {}
    try:
        return Wanted(
            workload.revision, ModelRevisionSpec.model_validate(json.loads(annotations.get(ANNOTATION_SPEC, "")))
        )
    except (ValueError, ValidationError):
        return None
