"""Gives the cases their server, and keeps what became of them."""

from collections.abc import Generator
from typing import Any

import pytest

from oip_conformance.report import FAIL, NOT_OFFERED, PASS, Outcome
from oip_conformance.target import Target

_SEEN = 200


class Suite:
    """A pytest plugin for one run against one server."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.outcomes: list[Outcome] = []

    @pytest.fixture(scope="session")
    def target(self) -> Target:
        """The server under test."""
        return self._target

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the mark."""
        config.addinivalue_line("markers", "spec(document, section): what the case is taken from")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep the outcome of a case."""
        report = yield
        if report.when == "call" or report.outcome != "passed":
            self._keep(item, report, call)
        return report

    def _keep(self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        mark = item.get_closest_marker("spec")
        document, section = mark.args if mark else ("", "")
        result = {"passed": PASS, "skipped": NOT_OFFERED}.get(report.outcome, FAIL)
        self.outcomes.append(Outcome(document, section, _title(item), result, _seen(call)))


def _title(item: Any) -> str:
    words = " ".join((item.function.__doc__ or item.name).split()).rstrip(".")
    case = item.callspec.id if hasattr(item, "callspec") else ""
    return f"{words}: {case}" if case else words


def _seen(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    lines = str(call.excinfo.value).removeprefix("Skipped: ").splitlines() or [call.excinfo.typename]
    kind = "" if call.excinfo.errisinstance((AssertionError, pytest.skip.Exception)) else f"{call.excinfo.typename}: "
    return (kind + lines[0])[:_SEEN]
