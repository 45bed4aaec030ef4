"""A node's addresses, and what joins its network namespace to this machine.

On the machine itself there are only one veth link and one nft table, both named after the node, two routes on that
link, and net.ipv4.ip_forward=1. Everything else is inside the namespace and ends with it. Nodes are registered in
RECORDS, so that two never share addresses and the last one restores ip_forward.
"""

import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import RefusalError
from localcluster.machine import Command
from localcluster.packages import path_of
from localcluster.places import State

RECORDS = Path("/run/penstock-localcluster")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MOST_NODES = 32


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of the node with this number."""

    number: int

    @property
    def name(self) -> str:
        """Of the link, the nft table and the control group."""
        return f"penstock{self.number}"

    @property
    def gateway(self) -> str:
        """This machine's address on the link."""
        return f"10.213.{self.number}.1"

    @property
    def node(self) -> str:
        """The node's address, reached from this machine and from pods."""
        return f"10.213.{self.number}.2"

    @property
    def link(self) -> str:
        """The subnet of the link."""
        return f"10.213.{self.number}.0/24"

    @property
    def pods(self) -> str:
        """The subnet of pods."""
        return f"10.214.{self.number}.0/24"

    @property
    def services(self) -> str:
        """The subnet of Services."""
        return f"10.215.{self.number}.0/24"

    @property
    def dns(self) -> str:
        """The address of the Service kube-dns."""
        return f"10.215.{self.number}.10"

    def outside(self) -> tuple[Command, ...]:
        """Commands on this machine that join it to the network namespace of process {pid}."""
        ip, nft = path_of("ip"), path_of("nft")
        rules = (
            f"table ip {self.name} {{\n chain postrouting {{\n  type nat hook postrouting priority srcnat\n"
            f'  ip saddr {{ {self.link}, {self.pods} }} oifname != "{self.name}" masquerade\n }}\n}}'
        )
        return (
            (ip, "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", "{pid}"),
            (ip, "address", "add", f"{self.gateway}/24", "dev", self.name),
            (ip, "link", "set", self.name, "up"),
            (ip, "route", "add", self.pods, "via", self.node, "dev", self.name),
            (ip, "route", "add", self.services, "via", self.node, "dev", self.name),
            (nft, rules),
        )

    def inside(self) -> tuple[Command, ...]:
        """Commands in the node's network namespace."""
        ip = path_of("ip")
        return (
            (ip, "link", "set", "lo", "up"),
            (ip, "address", "add", f"{self.node}/24", "dev", "eth0"),
            (ip, "link", "set", "eth0", "up"),
            (ip, "route", "add", "default", "via", self.gateway),
            ("/bin/sh", "-c", f"echo 1 > {FORWARDING}"),
        )


def claim(state: State) -> Network:
    """Addresses that no other node and no route of this machine uses, registered for this state folder.

    Raises RefusalError when all are in use.
    """
    routes = _routes()
    with _records():
        _forget_stale()
        for number in range(MOST_NODES):
            network = Network(number)
            ours = [ipaddress.IPv4Network(subnet) for subnet in (network.link, network.pods, network.services)]
            if (RECORDS / str(number)).exists() or any(own.overlaps(route) for own in ours for route in routes):
                continue
            (RECORDS / str(number)).write_text(json.dumps({"state": str(state.root), "boot": _boot()}))
            _start_forwarding()
            return network
    raise RefusalError(f"all of 10.213.0.0 to 10.213.{MOST_NODES - 1}.0 are in use; end another node with `down` first")


def claimed(state: State) -> list[Network]:
    """The networks registered for this state folder."""
    return [Network(number) for number, owner in _registered().items() if owner.get("state") == str(state.root)]


def owners() -> list[State]:
    """The state folders of all registered nodes."""
    return [State(Path(owner["state"])) for owner in _registered().values() if "state" in owner]


def release(network: Network) -> None:
    """Removes what is left of a node's network on this machine; the last node restores ip_forward."""
    if Path("/sys/class/net", network.name).exists():
        subprocess.run([path_of("ip"), "link", "delete", network.name], capture_output=True, check=False)
    subprocess.run([path_of("nft"), "delete", "table", "ip", network.name], capture_output=True, check=False)
    with _records():
        (RECORDS / str(network.number)).unlink(missing_ok=True)
        _forget_stale()
        if not _registered():
            _restore_forwarding()
            shutil.rmtree(RECORDS)


def nameservers() -> list[str]:
    """This machine's resolvers that a node can reach; those on the loopback interface it cannot."""
    found: list[str] = []
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        servers = [fields[1] for text in lines if len(fields := text.split()) > 1 and fields[0] == "nameserver"]
        found = [server for server in servers if ":" not in server and not server.startswith("127.")]
        if found:
            break
    return found


@contextmanager
def _records() -> Iterator[None]:
    """Holds the register; the lock is on its parent folder, because the register itself comes and goes."""
    descriptor = os.open(RECORDS.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        RECORDS.mkdir(exist_ok=True)
        yield
    finally:
        os.close(descriptor)


def _registered() -> dict[int, dict[str, str]]:
    owners = {}
    for path in RECORDS.glob("[0-9]*"):
        try:
            owners[int(path.name)] = json.loads(path.read_text())
        except (OSError, ValueError):  # a run killed while writing it made nothing yet
            owners[int(path.name)] = {}
    return owners


def _forget_stale() -> None:
    for number, owner in _registered().items():
        if owner.get("boot") != _boot():  # nothing outlives a boot
            (RECORDS / str(number)).unlink()


def _start_forwarding() -> None:
    before = RECORDS / "ip_forward.json"
    if not before.exists():
        before.write_text(json.dumps({"value": FORWARDING.read_text().strip(), "boot": _boot()}))
    FORWARDING.write_text("1")


def _restore_forwarding() -> None:
    before = RECORDS / "ip_forward.json"
    try:
        known = json.loads(before.read_text())
    except (FileNotFoundError, ValueError):
        return
    if known["boot"] == _boot():
        FORWARDING.write_text(known["value"])


def _routes() -> list[ipaddress.IPv4Network]:
    answer = subprocess.run(
        [path_of("ip"), "-json", "-4", "route", "show"], capture_output=True, text=True, check=True
    ).stdout
    return [ipaddress.IPv4Network(route["dst"]) for route in json.loads(answer or "[]") if route["dst"] != "default"]


def _boot() -> str:
    return BOOT_ID.read_text().strip()
