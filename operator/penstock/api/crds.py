"""Makes the custom resource definitions: `python -m penstock.api.crds [FOLDER]` writes them, by default to crds/."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from penstock.api.base import Part
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.modelrevision import ModelRevision
from penstock.api.names import GROUP, VERSION
from penstock.api.router import Router
from penstock.api.schema import Schema, object_schema

_HEADER = "# Made from operator/penstock/api by `python -m penstock.api.crds`; edit there.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones only with -o wide."""

    name: str
    path: str
    kind: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of custom resource: the model, its names and how tools see it."""

    model: type[Part]
    plural: str
    short: str
    columns: tuple[Column, ...]
    scale: Mapping[str, str] | None = None
    selectable: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind, such as ModelDeployment."""
        return self.model.__name__

    @property
    def name(self) -> str:
        """The definition's own name, such as modeldeployments.penstock.dev."""
        return f"{self.plural}.{GROUP}"


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
_REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason')

RESOURCES = (
    Resource(
        model=ModelDeployment,
        plural="modeldeployments",
        short="mdep",
        columns=(
            _READY,
            _REASON,
            Column("Stable", ".status.stable.revision"),
            Column("Candidate", ".status.candidate.revision"),
            Column("Weight", ".status.candidate.weight", "integer"),
            _AGE,
            Column("Phase", ".status.phase", wide=True),
            Column("Backend", ".status.stable.backend", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        scale={
            "specReplicasPath": ".spec.runtime.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
    Resource(
        model=ModelRevision,
        plural="modelrevisions",
        short="mrev",
        columns=(
            Column("Deployment", ".spec.deployment"),
            Column("Role", ".record.role"),
            Column("Reason", ".record.reason"),
            Column("Backend", ".record.served.backend"),
            _AGE,
            Column("Digest", ".spec.model.digest", wide=True),
            Column("Image", ".spec.image", wide=True),
        ),
        selectable=(".spec.deployment", ".record.role"),
    ),
    Resource(
        model=Router,
        plural="routers",
        short="mrouter",
        columns=(
            _READY,
            _REASON,
            Column("Models", ".status.models", "integer"),
            Column("Replicas", ".status.readyReplicas", "integer"),
            _AGE,
        ),
    ),
)


def definition(resource: Resource) -> Schema:
    """The CustomResourceDefinition of a resource."""
    has_status = "status" in resource.model.model_fields
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(object_schema(resource.model))},
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
        **({"selectableFields": [{"jsonPath": path} for path in resource.selectable]} if resource.selectable else {}),
        **({"subresources": _subresources(resource)} if has_status else {}),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.name, "labels": {"app.kubernetes.io/part-of": "penstock"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short],
            },
            "versions": [version],
        },
    }


def files() -> Mapping[str, str]:
    """Every file of the crds/ folder by its name."""
    made = {f"{resource.name}.yaml": _HEADER + _yaml(definition(resource)) for resource in RESOURCES}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(made),
    }
    return {**made, "kustomization.yaml": _HEADER + _yaml(kustomization)}


def _root(schema: Schema) -> Schema:
    standard = {
        "apiVersion": {"type": "string", "description": f"Version of this kind: {GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": "Kind of this object."},
        "metadata": {"type": "object"},
    }
    return {**schema, "properties": {**standard, **schema["properties"]}}


def _column(column: Column) -> Schema:
    priority = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.kind, "jsonPath": column.path, **priority}


def _subresources(resource: Resource) -> Schema:
    return {"status": {}, **({"scale": dict(resource.scale)} if resource.scale else {})}


def _yaml(document: Schema) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)


def main(folder: Path) -> None:
    """Write the definitions into a folder, and nothing else there."""
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "crds"))
