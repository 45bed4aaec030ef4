"""Reads objects as the API server returns them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock.api.base import Part
from penstock.api.errors import BadManifestError
from penstock.api.problems import problems_of

_Kind = TypeVar("_Kind", bound=Part)


def read(kind: type[_Kind], document: Mapping[str, Any]) -> _Kind:
    """One of our objects, as the API server returned it.

    Fields that are unknown here are passed over: a newer definition may have them, and the API server has pruned the
    rest. A status that cannot be read counts as none, because it is a view that is made anew. Raises BadManifestError
    when anything else cannot be used, as for an object stored before a rule was made stricter.
    """
    try:
        return _validate(kind, document)
    except ValidationError as error:
        if all(details["loc"][:1] == ("status",) for details in error.errors()):
            return _validate(kind, {field: value for field, value in document.items() if field != "status"})
        raise BadManifestError(*problems_of(error, kind)) from None


def _validate(kind: type[_Kind], document: Mapping[str, Any]) -> _Kind:
    return kind.model_validate(document, by_alias=True, by_name=False, extra="ignore")
