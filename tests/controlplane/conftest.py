"""A real API server for the tests in this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from localcluster.testing import RunningCluster, running


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """etcd, kube-apiserver and kube-controller-manager on random ports, ended with the session."""
    with running("control-plane", tmp_path_factory.mktemp("control-plane")) as cluster:
        yield cluster
