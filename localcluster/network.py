"""A node's addresses, and what joins its network namespace to this machine.

On the machine itself there are only one veth link and one nft table, both named after the node, two routes on that
link, and net.ipv4.ip_forward=1. Everything else is inside the namespace and ends with it.
"""

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localcluster import register
from localcluster.machine import Command
from localcluster.packages import path_of
from localcluster.places import State

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


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

    def usable(number: int) -> bool:
        network = Network(number)
        own = [ipaddress.IPv4Network(subnet) for subnet in (network.link, network.pods, network.services)]
        return not any(subnet.overlaps(route) for subnet in own for route in routes)

    network = Network(register.claim(state, usable=usable))
    before = FORWARDING.read_text().strip()
    if before != "1":
        register.change(FORWARDING, "1", restore=before)
    return network


def remove(network: Network) -> None:
    """Removes what is left of a node's network on this machine."""
    if Path("/sys/class/net", network.name).exists():
        subprocess.run([path_of("ip"), "link", "delete", network.name], capture_output=True, check=False)
    subprocess.run([path_of("nft"), "delete", "table", "ip", network.name], capture_output=True, check=False)


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


def _routes() -> list[ipaddress.IPv4Network]:
    answer = subprocess.run(
        [path_of("ip"), "-json", "-4", "route", "show"], capture_output=True, text=True, check=True
    ).stdout
    return [ipaddress.IPv4Network(route["dst"]) for route in json.loads(answer or "[]") if route["dst"] != "default"]
