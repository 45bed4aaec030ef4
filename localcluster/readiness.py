"""When is a cluster ready? When it answers as its users will ask."""

import socket
import struct
from collections.abc import Callable

from localcluster.api import Api, wait_until
from localcluster.machine import Machine, tail
from localcluster.progress import Step

WITHIN = 90.0


def await_api(api: Api, machine: Machine, step: Step) -> None:
    """Waits until the API server is ready and has made the first namespaces.

    Raises NotReadyError with the end of the log of what is not ready, as all functions here do.
    """
    _await(api.ready, "kube-apiserver", machine, step)
    _await(lambda: api.read("/api/v1/namespaces/kube-system") is not None, "kube-apiserver", machine, step)


def await_controllers(api: Api, machine: Machine, step: Step) -> None:
    """Waits until the controllers work: pods can be made, as the default service account exists."""

    def has_account() -> bool:
        return api.read("/api/v1/namespaces/default/serviceaccounts/default") is not None

    _await(has_account, "kube-controller-manager", machine, step)


def await_node(api: Api, machine: Machine, step: Step, *, node: str, dns: str) -> None:
    """Waits until the node takes pods, and cluster DNS answers through its Service from this machine."""

    def takes_pods() -> bool:
        found = api.read(f"/api/v1/nodes/{node}")
        if found is None or found["spec"].get("taints"):
            return False
        conditions: dict[str, str] = {
            condition["type"]: condition["status"] for condition in found["status"]["conditions"]
        }
        return conditions.get("Ready") == "True"

    _await(takes_pods, "kubelet", machine, step)
    _await(lambda: resolves("kubernetes.default.svc.cluster.local", server=dns), "coredns", machine, step)


def resolves(name: str, *, server: str) -> bool:
    """Whether a DNS server has an address for a name (RFC 1035, one A question over UDP)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack("!6H", 0x5053, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        try:
            client.sendto(question, (server, 53))
            answer = client.recv(512)
        except OSError:
            return False
    flags, answers = int.from_bytes(answer[2:4]), int.from_bytes(answer[6:8])
    return flags & 0x000F == 0 and answers > 0


def _await(condition: Callable[[], bool], program: str, machine: Machine, step: Step) -> None:
    log = machine.state.logs / f"{program}.log"

    def holds() -> bool:
        machine.require_alive()
        return condition()

    def failure() -> str:
        return f"{program} did not become ready in {WITHIN:.0f} s; the end of {log}:\n{tail(log)}"

    wait_until(holds, within=WITHIN, idle=step.tick, failure=failure)
