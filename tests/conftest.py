"""The order of a whole run: what takes longest alone begins first, so that no worker waits for it at the end."""

import signal

import pytest

LONGEST_FIRST = ("story", "level", "controlplane", "router", "node")
"""Groups (`pytest.mark.xdist_group`) by how long each takes on one worker."""


def pytest_configure() -> None:
    """Take Ctrl-C even where a shell began this run in the background, ignoring it: what tests start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long groups first, in this order; everything else keeps its place behind them."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    name = group.args[0] if group is not None else ""
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
