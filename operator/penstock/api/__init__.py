"""What users write and read: custom resources as frozen models, names, labels, conditions; makes the `crds/` folder."""

from penstock.api.errors import BadManifestError, Problem
from penstock.api.live import read
from penstock.api.manifest import load, load_rollout
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.router import Router

__all__ = [
    "BadManifestError",
    "ModelDeployment",
    "ModelRevision",
    "Problem",
    "Router",
    "load",
    "load_rollout",
    "read",
]
