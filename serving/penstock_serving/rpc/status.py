"""Errors as gRPC statuses: the REST statuses' counterparts, and the same marks as trailing metadata."""

from collections.abc import Sequence

import grpc

from penstock_serving import contract
from penstock_serving.protocol.errors import ModelRefusalError, RequestError, SaturatedError

Metadata = Sequence[tuple[str, str]]

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def code(error: RequestError) -> grpc.StatusCode:
    """The status code of an error."""
    return _CODES.get(error.status, grpc.StatusCode.INTERNAL)


def marks(error: RequestError) -> Metadata:
    """What says whose error it is: refused by the model, or too busy."""
    if isinstance(error, ModelRefusalError):
        return [(contract.HEADER_REFUSED, "1")]
    if isinstance(error, SaturatedError):
        return [(contract.HEADER_SATURATED, "1")]
    return []
