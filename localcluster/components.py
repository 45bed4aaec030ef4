"""The node's components: configuration files and command lines of containerd, kubelet, scheduler, proxy and DNS."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.binaries import Binaries
from localcluster.controlplane import Addresses
from localcluster.machine import Endpoint, Program
from localcluster.network import Network, nameservers
from localcluster.packages import SEARCH, path_of
from localcluster.pki import Authority, Certificate, write_kubeconfig
from localcluster.places import State

NODE = "penstock"
PAUSE_IMAGE = "docker.io/penstock/pause:local"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PATH = (f"PATH={SEARCH}",)
CNI_PLUGINS = "/usr/lib/cni"

CERTIFICATES = (
    Certificate("scheduler", "system:kube-scheduler"),
    Certificate("proxy", "system:kube-proxy"),
    Certificate("coredns", "system:coredns"),
)


def kubelet_certificate(network: Network) -> Certificate:
    """The kubelet's, as a client and as the server of logs and exec."""
    return Certificate("kubelet", f"system:node:{NODE}", ("system:nodes",), hosts=(network.node, NODE))


@dataclass(frozen=True, slots=True)
class Components:
    """Builds the programs of one node; each method writes the configuration that its program reads."""

    network: Network
    addresses: Addresses
    authority: Authority
    binaries: Binaries
    state: State

    def programs(self) -> list[Program]:
        """All of them; the control plane's are not among them."""
        return [self.containerd(), self.kubelet(), self.scheduler(), self.proxy(), self.coredns()]

    def containerd(self) -> Program:
        """Has its own root, socket, runtime folder and CNI folder; an existing containerd is not touched."""
        self._write("cni/10-penstock.conflist", json.dumps(_cni(self.network)))
        config = self._write("containerd.toml", _containerd(self.state))
        return Program("containerd", (path_of("containerd"), "--config", config), env=PATH)

    def kubelet(self) -> Program:
        """Answers for logs and exec on the node's address."""
        servers = "".join(f"nameserver {server}\n" for server in nameservers())
        resolv = self._write("resolv.conf", servers)
        config = self._write("kubelet.json", json.dumps(self._kubelet_configuration(resolv)))
        command = (
            self.binaries.path("kubelet"),
            f"--config={config}",
            f"--kubeconfig={self._kubeconfig('kubelet')}",
            f"--hostname-override={NODE}",
            f"--node-ip={self.network.node}",
        )
        return Program("kubelet", command, after=(self.addresses.ready, Endpoint("unix", CONTAINERD_SOCKET)), env=PATH)

    def scheduler(self) -> Program:
        """Without leader election, as there is one."""
        command = (
            self.binaries.path("kube-scheduler"),
            f"--kubeconfig={self._kubeconfig('scheduler')}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        return Program("kube-scheduler", command, after=(self.addresses.ready,))

    def proxy(self) -> Program:
        """Serves Services by nftables, in the node's network namespace."""
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": self._kubeconfig("proxy")},
            "clusterCIDR": self.network.pods,
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "hostnameOverride": NODE,
            "mode": "nftables",
            "nftables": {"minSyncPeriod": "100ms"},
            "oomScoreAdj": 0,
        }
        config = self._write("kube-proxy.json", json.dumps(configuration))
        command = (self.binaries.path("kube-proxy"), f"--config={config}")
        return Program("kube-proxy", command, after=(self.addresses.ready,), env=PATH)

    def coredns(self) -> Program:
        """Runs beside the kubelet, as the endpoint of the Service kube-dns: no image is needed."""
        servers = nameservers()
        forward = f"    forward . {' '.join(servers)}\n" if servers else ""
        corefile = (
            ".:53 {\n"
            f"    bind {self.network.node}\n"
            f"    ready {self.network.node}:8181\n"
            "    errors\n"
            "    kubernetes cluster.local in-addr.arpa ip6.arpa {\n"
            f"        kubeconfig {self._kubeconfig('coredns')}\n"
            "        fallthrough in-addr.arpa ip6.arpa\n"
            "        ttl 5\n"
            "    }\n"
            f"{forward}    cache 5\n"
            "    loop\n"
            "}\n"
        )
        command = (self.binaries.path("coredns"), "-conf", self._write("Corefile", corefile))
        return Program("coredns", command, after=(self.addresses.ready,))

    def _kubelet_configuration(self, resolv: str) -> dict[str, Any]:
        certificate, key = self.authority.of("kubelet")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.network.name}",
            "clusterDNS": [self.network.dns],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            # A developer's machine with a nearly full disk is no reason to evict pods or to throw images away.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            # The kubelet measures its disk only on these; elsewhere it would not start.
            "localStorageCapacityIsolation": filesystem_of(self.state.root) in {"ext4", "xfs"},
            "oomScoreAdj": 0,
            "resolvConf": resolv,
            "serializeImagePulls": False,
        }

    def _kubeconfig(self, name: str) -> str:
        path = self.state.configuration / f"{name}.kubeconfig"
        write_kubeconfig(path, server=self.addresses.server, authority=self.authority, name=name)
        return str(path)

    def _write(self, name: str, content: str) -> str:
        path = self.state.configuration / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return str(path)


def filesystem_of(folder: Path) -> str:
    """The type of the file system that holds a folder, as /proc/self/mountinfo names it."""
    mounts = {}
    for text in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = text.partition(" - ")
        mounts[Path(before.split()[4])] = after.split()[0]
    return next((mounts[parent] for parent in (folder, *folder.parents) if parent in mounts), "")


def _cni(network: Network) -> dict[str, Any]:
    # Point-to-point links: every packet is routed, so that Services work without br_netfilter, and there is no bridge.
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": network.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni",
    }
    return {
        "cniVersion": "0.4.0",
        "name": "penstock",
        "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
    }


def _containerd(state: State) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{state.box}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true

[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
BinaryName = "{path_of("runc")}"
SystemdCgroup = false

[{cri}.cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{state.configuration}/cni"
"""
