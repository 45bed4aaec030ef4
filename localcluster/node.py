"""The node tier: a control plane and a kubelet with all that pods need, in namespaces of their own.

Processes, mounts, network devices, nft tables, sysctls and host name are the box's: they end with it.
"""

from pathlib import Path

from localcluster import addons, archive, base, controlplane, images, machine, network, packages, pki, readiness, traces
from localcluster.binaries import Binaries
from localcluster.components import CERTIFICATES, NODE, PAUSE_IMAGE, Components, kubelet_certificate
from localcluster.controlplane import Addresses
from localcluster.description import Description, describe
from localcluster.locking import only_one
from localcluster.machine import Box, Command
from localcluster.network import Network
from localcluster.places import State, cache_root
from localcluster.processes import Wrap
from localcluster.progress import Part, Progress

STARTING = Part("start the control plane and the node", 10)
BASE_RELEASE = "bookworm"
# The kubelet insists on these values. Inside the box files with them lie over the real ones: this machine's stay.
KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}


def start(binaries: Binaries, state: State, progress: Progress, wrap: Wrap) -> Description:
    """Starts a node and waits until it takes pods and cluster DNS answers.

    Raises RefusalError when packages are missing and cannot be installed, NotReadyError with the end of a log.
    """
    packages.ensure(packages.NODE_TOOLS, progress=progress)
    traces.sweep()
    place = network.claim(state)
    addresses = Addresses(place.node, api=6443, etcd=2379, etcd_peer=2380, services=place.services)
    with progress.step(STARTING) as step:
        traces.make_control_groups(place.name)
        wanted = (*controlplane.certificates(addresses), *CERTIFICATES, kubelet_certificate(place))
        authority = pki.issue(wanted, binaries=binaries, state=state)
        certificate, key = authority.of("apiserver")
        kubelet_flags = (
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={authority.certificate}",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            f"--advertise-address={place.node}",
        )
        programs = controlplane.programs(
            addresses, authority, binaries=binaries, state=state, extra_api_flags=kubelet_flags
        )
        programs += Components(place, addresses, authority, binaries, state).programs()
        started = machine.start(programs, box=box(place, state), binaries=binaries, state=state, wrap=wrap)
        api = controlplane.client(addresses, authority)
        pause = archive.write_pause(state.root / "pause.tar", program=binaries.folder / "pause", name=PAUSE_IMAGE)
        readiness.await_api(api, started, step)
        addons.apply(api, place)
        images.import_archive(pause, state=state)
        readiness.await_controllers(api, started, step)
        readiness.await_node(api, started, step, node=NODE, dns=place.dns)
        pki.write_kubeconfig(state.kubeconfig, server=addresses.server, authority=authority, name="admin")
    return describe("node", addresses, binaries=binaries, state=state)


def prepare(*, state: Path, progress: Progress) -> None:
    """Installs the packages that a node and image builds need, and makes the Debian base of images."""
    packages.ensure((*packages.NODE_TOOLS, *packages.IMAGE_TOOLS), progress=progress)
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / ".lock", progress=progress, doing="images"):
        base.ensure(BASE_RELEASE, folder=folder, state=state, progress=progress)


def box(place: Network, state: State) -> Box:
    """The namespaces' set-up; writes the files that are laid over kernel settings."""
    mount = packages.path_of("mount")
    inside: list[Command] = [
        (mount, "--make-rprivate", "/"),
        (mount, "--make-rshared", "/"),
        (mount, "-t", "proc", "proc", "/proc"),
        (mount, "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"),
    ]
    for name in ("lib", "log"):
        (state.box / name).mkdir(parents=True)
        inside.append((mount, "--bind", str(state.box / name), f"/var/{name}"))
    settings = state.configuration / "sysctl"
    settings.mkdir(parents=True)
    for name, value in KERNEL_SETTINGS.items():
        file = settings / name.replace("/", ".")
        file.write_text(value)
        inside.append((mount, "--bind", str(file), f"/proc/sys/{name}"))
    inside += _own_resolvers(state)
    outside = (*place.outside(), ("/bin/sh", "-c", f"echo {{pid}} > '{state.box_pid}'"))
    return Box(NODE, outside, (*inside, *place.inside()))


def _own_resolvers(state: State) -> list[Command]:
    """Lays resolvers that the box can reach over /etc/resolv.conf, which may be a link into the hidden /run."""
    target = Path("/etc/resolv.conf").resolve()
    if not target.exists():
        return []
    commands: list[Command] = [
        (packages.path_of("mount"), "--bind", str(state.configuration / "resolv.conf"), str(target))
    ]
    if target.is_relative_to("/run"):
        make = f"mkdir -p '{target.parent}' && touch '{target}'"
        commands.insert(0, ("/bin/sh", "-c", make))
    return commands
