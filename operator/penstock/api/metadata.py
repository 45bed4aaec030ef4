"""The part of `metadata` that Penstock reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.base import Part


class ObjectMeta(Part):
    """Identity, labels and bookkeeping of an object; fields unknown here are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the object within its namespace."""
    namespace: str = "default"
    """Namespace of the object."""
    uid: str = ""
    """Identity of this very object; a new one of the same name has another. Empty for a manifest never applied."""
    resource_version: str = ""
    """Version of the object as it was read."""
    generation: int = 0
    """Counts changes of the spec, a change of scale included."""
    creation_timestamp: datetime | None = None
    """When the object was made."""
    deletion_timestamp: datetime | None = None
    """When its deletion was asked for."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Annotations of the object."""
