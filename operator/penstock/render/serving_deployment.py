"""The Deployment that keeps the pods of one revision."""

import json

from penstock.api.base import Part
from penstock.api.modelrevision import ModelRevisionSpec
from penstock.api.names import (
    COMPONENT_SERVER,
    GROUP,
    LABEL_COMPONENT,
    LABEL_DEPLOYMENT,
    LABEL_MANAGED_BY,
    LABEL_REVISION,
    MANAGED_BY,
)
from penstock.api.runtime import Placement
from penstock.render.metadata import Owner, metadata_of
from penstock.render.templates import pod_spec
from penstock.world import Manifest

ANNOTATION_PLACEMENT = f"{GROUP}/placement"
"""The placement that the pods were made with, as JSON: pods that run keep their place when the spec's changes."""
ANNOTATION_SPEC = f"{GROUP}/revision-spec"
"""The ModelRevision's spec as JSON, from which the revision is made again should it be deleted while it serves."""


def serving_deployment(
    owner: Owner, revision: str, spec: ModelRevisionSpec, replicas: int, placement: Placement
) -> Manifest:
    """The Deployment of a revision with so many pods. Raises UnknownTemplateError."""
    selector = {LABEL_DEPLOYMENT: owner.name, LABEL_REVISION: revision}
    labels = {LABEL_COMPONENT: COMPONENT_SERVER, **selector}
    annotations = {ANNOTATION_PLACEMENT: _text(placement), ANNOTATION_SPEC: _text(spec)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(revision, owner, labels, annotations),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": {LABEL_MANAGED_BY: MANAGED_BY, **labels}},
                "spec": pod_spec(revision, spec, placement),
            },
        },
    }


def _text(part: Part) -> str:
    written = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(written, sort_keys=True, separators=(",", ":"))
