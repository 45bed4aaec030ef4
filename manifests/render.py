"""Renders an overlay without the kustomize binary: `python manifests/render.py [OVERLAY]`, by default into install.yaml.

Knows the part of Kustomize that these folders use, and refuses the rest: `resources` (files and folders) and `patches`
(files with strategic merge patches, `$patch: delete` included). A test compares it with `kubectl kustomize`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
INSTALL = HERE / "install.yaml"
_HEADER = "# Made from manifests/overlays/default by `python manifests/render.py`; edit there.\n"
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")

Json = dict[str, Any]


class UnknownToRenderError(ValueError):
    """A part of Kustomize that is not known here."""


def render(folder: Path) -> list[Json]:
    """All objects of a kustomization, in an order in which they can be applied. Raises UnknownToRenderError."""
    rank = {kind: index for index, kind in enumerate(_FIRST)}
    return sorted(_objects(folder), key=lambda item: rank.get(item["kind"], len(rank)))


def _objects(folder: Path) -> list[Json]:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(kustomization) - {"apiVersion", "kind", "resources", "patches"}
    if unknown:
        raise UnknownToRenderError(f"{folder}/kustomization.yaml: {', '.join(sorted(unknown))}")
    objects = [item for name in kustomization["resources"] for item in _resource(folder / name)]
    for entry in kustomization.get("patches", ()):
        if set(entry) != {"path"}:
            raise UnknownToRenderError(f"{folder}/kustomization.yaml: patches with {', '.join(sorted(entry))}")
        for patch in _documents(folder / entry["path"]):
            objects = _patched(objects, patch)
    return objects


def _resource(path: Path) -> list[Json]:
    return _objects(path) if path.is_dir() else list(_documents(path))


def _documents(path: Path) -> Iterator[Json]:
    return (document for document in yaml.safe_load_all(path.read_text()) if document is not None)


def _patched(objects: list[Json], patch: Json) -> list[Json]:
    meant = [item for item in objects if _identity(item) == _identity(patch)]
    if len(meant) != 1:
        raise UnknownToRenderError(f"a patch is for {_identity(patch)}, of which there are {len(meant)}")
    if patch.get("$patch") == "delete":
        return [item for item in objects if item is not meant[0]]
    return [_merged(item, patch) if item is meant[0] else item for item in objects]


def _identity(item: Json) -> tuple[str, str, str, str]:
    metadata = item["metadata"]
    return item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"]


def _merged(below: Any, above: Any) -> Any:
    """Maps are merged, lists of named things by name, everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merged(below.get(key), value) for key, value in above.items()}
    if isinstance(below, list) and isinstance(above, list) and all("name" in item for item in (*below, *above)):
        named = {item["name"]: item for item in below}
        return list((named | {item["name"]: _merged(named.get(item["name"]), item) for item in above}).values())
    return above


def text(objects: list[Json]) -> str:
    """The objects as one YAML file."""
    return _HEADER + yaml.safe_dump_all(objects, sort_keys=False, width=120, allow_unicode=True)


def main(overlay: str | None = None) -> None:
    """Write install.yaml, or print another overlay."""
    if overlay is None:
        INSTALL.write_text(text(render(HERE / "overlays" / "default")))
    else:
        print(text(render(HERE / "overlays" / overlay)))


if __name__ == "__main__":
    main(*sys.argv[1:2])
