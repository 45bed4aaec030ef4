"""Where the API server keeps each kind that the operator reads or writes. A table, so that nothing is discovered."""

from dataclasses import dataclass
from urllib.parse import quote

from penstock.api.names import API_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object and its place in the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of a collection (all namespaces when none is given), an object, or a subresource."""
        root = "/api" if "/" not in self.api_version else "/apis"
        scope = ("namespaces", namespace) if self.namespaced and namespace else ()
        parts = (*scope, self.plural, *filter(None, (name, subresource)))
        return "/".join((root, self.api_version, *(quote(part, safe="") for part in parts)))


MODEL_DEPLOYMENT = Kind(API_VERSION, "ModelDeployment", "modeldeployments")
MODEL_REVISION = Kind(API_VERSION, "ModelRevision", "modelrevisions")
ROUTER = Kind(API_VERSION, "Router", "routers")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
NODE = Kind("v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)

KINDS = (
    MODEL_DEPLOYMENT,
    MODEL_REVISION,
    ROUTER,
    DEPLOYMENT,
    POD,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    ROLE_BINDING,
    NETWORK_POLICY,
    DISRUPTION_BUDGET,
    EVENT,
    NODE,
    NAMESPACE,
)
_BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}


def kind_of(api_version: str, kind: str) -> Kind:
    """The table's row. Raises KeyError for a kind that the operator has no business with."""
    return _BY_NAME[api_version, kind]
