"""Where a cluster cannot run it is refused at once, naming what is missing and what to do."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import elsewhere, preflight, toolchain
from localcluster.errors import RefusalError
from localcluster.places import State, Tier
from localcluster.progress import Progress
from tests.localcluster.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path / "durations.json")


@pytest.fixture
def other_kubelet(tmp_path: Path) -> Iterator[int]:
    """A process whose program is called kubelet and that no local cluster started."""
    program = tmp_path / "kubelet"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        # Popen returns a moment before the kernel shows what is run.
        until(Path(f"/proc/{process.pid}/cmdline").read_bytes)
        yield process.pid
        process.kill()


def test_another_system_than_linux(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RefusalError, match=r"needs Linux; this is darwin. Name a cluster with CONTEXT="):
        preflight.refuse_unless_possible("control-plane", state)


@pytest.mark.parametrize(("tier", "needed"), [("control-plane", 1), ("node", 3)])
def test_too_little_memory(tier: Tier, needed: int, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 2**29)
    with pytest.raises(RefusalError, match=f"the {tier} tier needs {needed} GiB of free memory; this machine has 0.5"):
        preflight.refuse_unless_possible(tier, state)


def test_a_kubelet_that_is_here_already(state: State, other_kubelet: int) -> None:
    with pytest.raises(RefusalError, match=rf"another kubelet runs on this machine \(process {other_kubelet}\)"):
        preflight.refuse_unless_possible("node", state)


@pytest.mark.parametrize("folder", ["/run/penstock", "/var/lib/penstock"])
def test_a_folder_that_a_node_cannot_see(folder: str) -> None:
    with pytest.raises(RefusalError, match="cannot be seen inside a node"):
        preflight.refuse_unless_possible("node", State(Path(folder)))


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may use; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_node_without_root_says_what_is_missing_and_what_to_do_instead(public: Path) -> None:
    """Run as a user without rights: exit code 2, one line, nothing left."""
    package = shutil.copytree(ROOT / "localcluster", public / "code" / "localcluster")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    interpreter = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    finished = subprocess.run(
        [*nobody, interpreter, "-m", "localcluster", "up", "--state", str(public / "state")],
        cwd=package.parent,
        env={"PATH": os.defpath, "HOME": str(public), "PENSTOCK_CACHE": str(public / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert "refused: a node needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN" in finished.stderr
    assert "CONTEXT=" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("answer", "refused"), [("v1.33.0", False), ("v1.34.4", False), ("v2.0.0", False), ("v1.32.9+k3s1", True)]
)
def test_a_named_cluster_must_be_new_enough(
    answer: str, refused: bool, state: State, progress: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONTEXT=… uses the cluster of that context and keeps a kubeconfig of it alone."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  "config view --minify --flatten --context staging") echo "kind: Config";;\n'
        '  *"config view -o"*) echo https://staging.test:6443;;\n'
        f"""  *"get --raw /version") echo '{{"gitVersion": "{answer}"}}';;\n"""
        '  *) echo "unexpected: $*"; exit 1;;\n'
        "esac\n"
    )
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if refused:
        with pytest.raises(RefusalError, match=r"runs Kubernetes v1\.32\.9\+k3s1; Penstock needs 1\.33 or newer"):
            elsewhere.use_context("staging", state, progress)
    else:
        described = elsewhere.use_context("staging", state, progress)
        assert (described.provider, described.server) == ("context", "https://staging.test:6443")
        assert state.kubeconfig.read_text() == "kind: Config"


def test_without_go_and_without_pip_the_refusal_names_both(
    state: State, progress: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "version_of", lambda go: (1, 19))
    monkeypatch.setattr(toolchain.packages, "candidate_version", lambda name: (1, 19))
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RefusalError, match=r"Go 1\.24 or newer is missing, and .* has no pip"):
        toolchain.find_go((1, 24), cache=tmp_path, state=state.root, progress=progress)
