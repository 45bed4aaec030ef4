"""The revision that a spec asks for."""

import hashlib
import json
from dataclasses import dataclass

from penstock.api.modeldeployment import ModelDeploymentSpec
from penstock.api.modelrevision import ModelRevisionSpec, PinnedModel
from penstock.api.names import revision_name
from penstock.api.reasons import Reason
from penstock.api.references import ImageReference, Label
from penstock.render.templates import CURRENT
from penstock.rollout.trouble import Cure, Trouble
from penstock.world import Defaults


@dataclass(frozen=True, slots=True)
class Wanted:
    """A revision by its name, and what it is should it have to be made."""

    name: str
    spec: ModelRevisionSpec


def wanted_of(deployment: str, spec: ModelDeploymentSpec, defaults: Defaults) -> Wanted | Trouble:
    """The revision that the spec of this deployment asks for, or why it cannot be told."""
    if spec.model.digest is None:
        return Trouble(
            Reason.DIGEST_NOT_PINNED,
            "spec.model.digest is missing, and a model that can run code is only loaded when it is pinned: write what "
            "`penstock digest DIR` prints for its folder.",
            Cure.PERSON,
        )
    image = ImageReference(defaults.serving_image) if spec.runtime.image is None else spec.runtime.image
    return Wanted(
        revision_name(deployment, content_hash(spec)),
        ModelRevisionSpec(
            deployment=Label(deployment),
            model=PinnedModel(
                uri=spec.model.uri,
                digest=spec.model.digest,
                signed_by=spec.model.signed_by,
                access=spec.model.access,
            ),
            image=image,
            env=spec.runtime.env,
            resources=spec.runtime.resources,
            trust=spec.runtime.trust,
            template_version=CURRENT,
        ),
    )


def content_hash(spec: ModelDeploymentSpec) -> str:
    """SHA-256 (hexadecimal) of what makes a revision, as it is written: defaults stay out, so that neither a newer
    operator nor a field that it adds makes another revision of the same spec."""
    content = {
        "model": spec.model.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "runtime": spec.runtime.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, include={"image", "env", "resources", "trust"}
        ),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
