"""The ModelRevision: what a revision is, and what became of it."""

from collections.abc import Mapping

from penstock.api.modelrevision import ModelRevisionSpec, Record
from penstock.api.names import API_VERSION
from penstock.render.metadata import Owner, deployment_labels, metadata_of
from penstock.world import Manifest


def model_revision(
    owner: Owner, name: str, spec: ModelRevisionSpec, record: Record, annotations: Mapping[str, str]
) -> Manifest:
    """The whole object."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelRevision",
        "metadata": metadata_of(name, owner, deployment_labels(owner.name), annotations),
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "record": record.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
