"""What a node's cluster holds besides Kubernetes itself: the Service kube-dns and the rights of CoreDNS."""

from typing import Any

from localcluster.api import Api
from localcluster.network import Network

RBAC = "rbac.authorization.k8s.io"
DNS_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def apply(api: Api, place: Network) -> None:
    """Applies them all. Raises StepError when the API server refuses one."""
    for path, content in _objects(place):
        api.apply(path, content)


def _objects(place: Network) -> list[tuple[str, dict[str, Any]]]:
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "system:coredns"}],
    }
    labels = {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "clusterIP": place.dns,
            "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in DNS_PORTS],
        },
    }
    # No selector: CoreDNS runs beside the kubelet, on the node's address.
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [place.node], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in DNS_PORTS],
    }
    return [
        (f"/apis/{RBAC}/v1/clusterroles/system:coredns", role),
        (f"/apis/{RBAC}/v1/clusterrolebindings/system:coredns", binding),
        ("/api/v1/namespaces/kube-system/services/kube-dns", service),
        ("/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns", endpoints),
    ]
