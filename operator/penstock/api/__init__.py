"""What users write and read: custom resources as frozen models, names, labels, conditions; makes the `crds/` folder."""

from penstock.api.errors import BadManifestError, Problem
from penstock.api.manifest import load, load_rollout
from penstock.api.modeldeployment import ModelDeployment

__all__ = ["BadManifestError", "ModelDeployment", "Problem", "load", "load_rollout"]
