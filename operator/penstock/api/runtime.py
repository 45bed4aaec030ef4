"""`spec.runtime`: what runs the model."""

from typing import Annotated

from pydantic import Field

from penstock.api.base import Part


class Runtime(Part):
    """What runs the model."""

    replicas: Annotated[int, Field(strict=True, ge=1, le=1000)] = 2
    """Pods of the stable revision; candidate pods follow the weight."""
