"""A real node for the tests in this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from localcluster.testing import RunningCluster, running


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A whole Kubernetes with one node that runs containers, ended with the session."""
    with running("node", tmp_path_factory.mktemp("node")) as cluster:
        yield cluster
