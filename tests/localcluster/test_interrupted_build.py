"""A build that was killed is neither mistaken for a whole one nor in the way of the next."""

import pytest

from localcluster.places import cache_root
from localcluster.processes import marked

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.controlplane,
    pytest.mark.xdist_group("controlplane"),
    pytest.mark.timeout(1800),
]
TIER = "control-plane"


@pytest.fixture
def empty_cache(tmp_path):
    """A cache without binaries, but with the compiled packages of the real one, so that a build is a link."""
    compiled = cache_root() / "go"
    compiled.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "go").symlink_to(compiled)
    return tmp_path / "cache"


def test_a_killed_build_leaves_no_process_and_the_next_up_builds_anew(commands, empty_cache):
    binaries = empty_cache / "binaries"

    def building():
        return any(binaries.glob("*.partial-*")) and len(marked(commands.state.root)) > 2

    commands.kill("up", when=building, PENSTOCK_CACHE=str(empty_cache))
    assert commands.run("down")[0] == 0
    assert commands.left() == []
    assert not any(binaries.glob("kubernetes-*/penstock-kube"))
    code, said = commands.run("up", PENSTOCK_CACHE=str(empty_cache))
    assert code == 0, said
    assert [path.name for path in binaries.glob("*.partial-*")] == []
    assert len(list(binaries.glob("kubernetes-*/penstock-kube"))) == 1
