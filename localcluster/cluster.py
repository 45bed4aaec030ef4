"""Bringing a cluster up and down.

`up` reaches a ready cluster from any state, `down` an empty machine from any state; both can be killed at any moment
and run again.
"""

import shutil
import time

from localcluster import binaries as built
from localcluster import (
    controlplane,
    description,
    elsewhere,
    machine,
    node,
    packages,
    pki,
    preflight,
    readiness,
    traces,
)
from localcluster.api import Api
from localcluster.binaries import Binaries
from localcluster.description import Description
from localcluster.errors import ClusterError
from localcluster.locking import exclusive
from localcluster.places import State, Tier, cache_root
from localcluster.processes import Wrap, detached, kill_marked, marked
from localcluster.progress import Part, Progress, spoken

STARTING = {
    "control-plane": Part("start etcd, kube-apiserver and kube-controller-manager", 6),
    "node": node.STARTING,
}


def up(tier: Tier, state: State, *, progress: Progress, wrap: Wrap = detached) -> Description:
    """A ready cluster of this tier; one that is already ready is left as it is.

    Wrapped by `tied` a new cluster ends with this thread.

    Raises ClusterError; nothing runs then, and the logs stay to be read until the next `up` or `down`.
    """
    began = time.monotonic()
    with exclusive(state.root, progress=progress):
        standing = description.read(state)
        if standing is not None and _serves(standing, tier, state):
            progress.note(f"the {tier} cluster in {state.root} is up already")
            return standing
        clear(state, progress=progress)
        try:
            ready = _start(tier, state, progress, wrap)
            description.write(ready, state)
        except ClusterError:
            kill_marked(state.root)
            traces.remove(state)
            raise
        except BaseException:
            clear(state, progress=progress)
            state.root.rmdir()
            raise
    progress.note(f"Kubernetes {ready.kubernetes}, tier {tier}, is ready after {spoken(time.monotonic() - began)}")
    return ready


def prepare(tier: Tier, state: State, *, progress: Progress) -> None:
    """Everything that `up` would have to make first and that takes minutes: packages, binaries, the images' base.

    Raises RefusalError where `up` would.
    """
    if tier == "node" and (elsewhere.wanted_context() is not None or elsewhere.kind_is_the_way()):
        return
    with exclusive(state.root, progress=progress):
        preflight.refuse_unless_possible(tier, state)
        if tier == "node":
            node.prepare(state=state.root, progress=progress)
        built.ensure(cache=cache_root(), state=state.root, progress=progress)
        if not any(state.root.iterdir()):
            state.root.rmdir()


def down(state: State, *, progress: Progress) -> None:
    """Ends the cluster and removes everything of it, and what killed nodes left on the machine."""
    traces.sweep()
    if not state.root.exists() and not marked(state.root):
        progress.note(f"there is no cluster in {state.root}")
        return
    with exclusive(state.root, progress=progress):
        clear(state, progress=progress)
        state.root.rmdir()
    progress.note(f"the cluster in {state.root} is gone")


def clear(state: State, *, progress: Progress) -> None:
    """Ends every process of the cluster, removes what it left on the machine, and empties its folder."""
    left = list(state.root.iterdir())
    if not left and not marked(state.root):
        return
    with progress.step(Part("clear away the old cluster", 1)):
        kill_marked(state.root)
        elsewhere.stop_kind(state)
        traces.remove(state)
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def serves(standing: Description, state: State) -> bool:
    """Whether the described cluster's API server is ready."""
    if standing.provider != "local":
        return elsewhere.serves(standing, state)
    host, _, port = standing.server.removeprefix("https://").rpartition(":")
    try:
        client = Api(host, int(port), state.pki / "ca.crt", state.pki / "admin.crt", state.pki / "admin.key")
        return client.ready()
    except FileNotFoundError:
        return False


def _serves(standing: Description, tier: Tier, state: State) -> bool:
    if standing.provider == "context":
        return False  # asked for again each time: the context may mean another cluster by now
    if standing.provider == "kind":
        return standing.tier == tier and serves(standing, state)
    wanted = (tier, built.kubernetes_version())
    return (standing.tier, standing.kubernetes) == wanted and serves(standing, state)


def _start(tier: Tier, state: State, progress: Progress, wrap: Wrap) -> Description:
    context = elsewhere.wanted_context()
    if tier == "node" and context is not None:
        return elsewhere.use_context(context, state, progress)
    if tier == "node" and elsewhere.kind_is_the_way():
        return elsewhere.start_kind(state, progress)
    preflight.refuse_unless_possible(tier, state)
    tools = packages.NODE_TOOLS if tier == "node" else ()
    progress.plan([*packages.pending(tools), *built.pending(cache_root()), STARTING[tier]])
    programs = built.ensure(cache=cache_root(), state=state.root, progress=progress)
    return _LOCAL[tier](programs, state, progress, wrap)


def _start_control_plane(programs: Binaries, state: State, progress: Progress, wrap: Wrap) -> Description:
    addresses = controlplane.local_addresses()
    with progress.step(STARTING["control-plane"]) as step:
        authority = pki.issue(controlplane.certificates(addresses), binaries=programs, state=state)
        flags = controlplane.loopback_flags()
        wanted = controlplane.programs(addresses, authority, binaries=programs, state=state, extra_api_flags=flags)
        started = machine.start(wanted, box=None, binaries=programs, state=state, wrap=wrap)
        api = controlplane.client(addresses, authority)
        readiness.await_api(api, started, step)
        readiness.await_controllers(api, started, step)
        pki.write_kubeconfig(state.kubeconfig, server=addresses.server, authority=authority, name="admin")
    return description.describe("control-plane", addresses, binaries=programs, state=state)


_LOCAL = {"control-plane": _start_control_plane, "node": node.start}
