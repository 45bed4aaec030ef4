"""What a case stands on: the section of the specification that it is taken from."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case", bound=Callable[..., Any])

REST = "inference_rest.md"
GRPC = "inference_grpc.md"
BINARY = "extension_binary_data.md"
REPOSITORY = "extension_model_repository.md"
STATISTICS = "extension_statistics.md"


def spec(document: str, section: str) -> Callable[[Case], Case]:
    """Name the document and section that a case checks; its docstring says what must hold."""

    def mark(case: Case) -> Case:
        marked: Case = pytest.mark.spec(document, section)(case)
        return marked

    return mark


def not_offered(what: str) -> None:
    """End the case: the server does not say that it offers this."""
    pytest.skip(what)
