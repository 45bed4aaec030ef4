"""etcd, kube-apiserver and kube-controller-manager: their certificates, configuration and command lines."""

import json
import random
import socket
from dataclasses import dataclass

from localcluster.api import Api
from localcluster.binaries import Binaries
from localcluster.errors import RefusalError
from localcluster.machine import Endpoint, Program
from localcluster.pki import SERVICE_ACCOUNT_KEY, Authority, Certificate, write_kubeconfig
from localcluster.places import State

# Every request is logged once, when its response is complete; tests count writes in this log.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(20000, 32000)
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a control plane listens: the API server's own address, ports, and the range of Service addresses."""

    host: str
    api: int
    etcd: int
    etcd_peer: int
    services: str

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.host}:{self.api}"

    @property
    def ready(self) -> Endpoint:
        """A client started before this is there would fail first and then try again ever more rarely."""
        return Endpoint("https", f"{self.server}/readyz")


def local_addresses() -> Addresses:
    """Addresses on the loopback interface with ports that are free now.

    Raises RefusalError when three such ports cannot be found.
    """
    free: list[int] = []
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:  # in use
                continue
        free.append(port)
        if len(free) == 3:
            return Addresses(LOOPBACK, api=free[0], etcd=free[1], etcd_peer=free[2], services="10.0.0.0/24")
    raise RefusalError(f"no three free ports between {PORTS.start} and {PORTS.stop} on {LOOPBACK}")


def first_service_address(services: str) -> str:
    """The address of the Service `kubernetes`: the first of a /24 range."""
    return services.removesuffix(".0/24") + ".1"


def certificates(addresses: Addresses) -> tuple[Certificate, ...]:
    """What the control plane's components and the administrator need."""
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    api_hosts = (LOOPBACK, "localhost", addresses.host, first_service_address(addresses.services), *names)
    return (
        Certificate("etcd", "etcd", hosts=(LOOPBACK,)),
        Certificate("apiserver", "kube-apiserver", ("system:masters",), hosts=api_hosts),
        Certificate("admin", "penstock-admin", ("system:masters",)),
        Certificate("controller-manager", "system:kube-controller-manager"),
    )


def client(addresses: Addresses, authority: Authority) -> Api:
    """A client with the administrator's rights."""
    certificate, key = authority.of("admin")
    return Api(addresses.host, addresses.api, authority.certificate, certificate, key)


def programs(
    addresses: Addresses, authority: Authority, *, binaries: Binaries, state: State, extra_api_flags: tuple[str, ...]
) -> list[Program]:
    """The three programs; their configuration files are written here."""
    state.configuration.mkdir(parents=True, exist_ok=True)
    state.audit_log.parent.mkdir(parents=True, exist_ok=True)
    policy = state.configuration / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY))
    manager_kubeconfig = state.configuration / "controller-manager.kubeconfig"
    write_kubeconfig(manager_kubeconfig, server=addresses.server, authority=authority, name="controller-manager")
    ca = authority.certificate
    ca_key = ca.with_suffix(".key")
    etcd_certificate, etcd_key = authority.of("etcd")
    api_certificate, api_key = authority.of("apiserver")
    token_key = authority.folder / SERVICE_ACCOUNT_KEY
    etcd_url = f"https://{LOOPBACK}:{addresses.etcd}"
    peer_url = f"https://{LOOPBACK}:{addresses.etcd_peer}"
    etcd = (
        binaries.path("etcd"),
        f"--data-dir={state.etcd}",
        f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        f"--cert-file={etcd_certificate}",
        f"--key-file={etcd_key}",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
        f"--peer-cert-file={etcd_certificate}",
        f"--peer-key-file={etcd_key}",
        f"--peer-trusted-ca-file={ca}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",  # the data ends with the cluster
        "--log-level=warn",
    )
    apiserver = (
        binaries.path("kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--etcd-cafile={ca}",
        f"--etcd-certfile={api_certificate}",
        f"--etcd-keyfile={api_key}",
        f"--secure-port={addresses.api}",
        f"--tls-cert-file={api_certificate}",
        f"--tls-private-key-file={api_key}",
        f"--client-ca-file={ca}",
        f"--service-cluster-ip-range={addresses.services}",
        f"--service-account-key-file={token_key}.pub",
        f"--service-account-signing-key-file={token_key}.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={state.audit_log}",
        "--audit-log-mode=blocking",  # a test sees a request as soon as it is answered
        "--audit-log-maxsize=100000",
        "--profiling=false",
        *extra_api_flags,
    )
    controller_manager = (
        binaries.path("kube-controller-manager"),
        f"--kubeconfig={manager_kubeconfig}",
        "--leader-elect=false",
        "--kube-api-qps=300",  # the controllers start one after the other; the default paces them to seconds
        "--kube-api-burst=600",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={token_key}.key",
        f"--root-ca-file={ca}",
        f"--cluster-signing-cert-file={ca}",
        f"--cluster-signing-key-file={ca_key}",
        f"--service-cluster-ip-range={addresses.services}",
        "--secure-port=0",
        "--profiling=false",
    )
    return [
        Program("etcd", etcd),
        Program("kube-apiserver", apiserver, after=(Endpoint("tcp", f"{LOOPBACK}:{addresses.etcd}"),)),
        Program("kube-controller-manager", controller_manager, after=(addresses.ready,)),
    ]


def loopback_flags() -> tuple[str, ...]:
    """API server flags for a control plane without a node, which no other machine can reach."""
    # The Service `kubernetes` cannot have a loopback address as its endpoint, so nothing maintains its endpoints.
    return (f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}", "--endpoint-reconciler-type=none")
