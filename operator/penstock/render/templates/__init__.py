"""Pod templates of the model server, by version.

A revision's pods are rendered for life by the version that it was made with, so a newer operator restarts none of them.
A version that was released is never edited: a change is a new module with the next number.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from penstock.api.modelrevision import ModelRevisionSpec
from penstock.api.runtime import Placement
from penstock.render.templates import v1
from penstock.world import Manifest

Template = Callable[[str, ModelRevisionSpec, Placement], Manifest]
"""From a revision's name, its spec and a placement to a pod template's spec."""

TEMPLATES: Mapping[int, Template] = MappingProxyType({1: v1.pod_spec})
CURRENT = max(TEMPLATES)
"""Version that new revisions are made with."""


def pod_spec(revision: str, spec: ModelRevisionSpec, placement: Placement) -> Manifest:
    """The spec of a revision's pods; raises UnknownTemplateError for a version that only another operator knows."""
    template = TEMPLATES.get(spec.template_version)
    if template is None:
        raise UnknownTemplateError(spec.template_version)
    return template(revision, spec, placement)


class UnknownTemplateError(ValueError):
    """A revision was made by a newer operator than this one. What it made is left alone; run that version again."""

    def __init__(self, version: int) -> None:
        super().__init__(f"template version {version} is newer than this operator, which knows up to {CURRENT}")
