"""Names that several rooms must agree on: label and annotation keys, ports, field managers, names of objects."""

GROUP = "penstock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "penstock"
"""Field manager of everything that the operator writes."""
CLI_FIELD_MANAGER = "penstock-cli"
"""Field manager of what the command line writes; Flux takes back what managers named kubectl-something wrote."""

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "penstock"
LABEL_COMPONENT = "app.kubernetes.io/component"
COMPONENT_SERVER = "model-server"
COMPONENT_ROUTER = "router"
LABEL_DEPLOYMENT = f"{GROUP}/deployment"
"""Names the ModelDeployment that an object belongs to."""
LABEL_REVISION = f"{GROUP}/revision"
"""Names the ModelRevision that a pod or Deployment runs."""
LABEL_ROUTER = f"{GROUP}/router"
"""Names the Router that a pod or Deployment belongs to."""

MAX_NAME = 40
"""Longest name of a ModelDeployment: names made from it stay DNS labels."""
REVISION_HASH_LENGTH = 10

DEFAULT_ROUTER = "default"
"""Name of the Router that a namespace gets when it has none."""
MAX_ROUTER_REPLICAS = 10

FIRST_MODEL_PORT = 20001
"""Router port of a namespace's first model; each model has its own, so Host and path never decide."""
LAST_MODEL_PORT = 29999


def revision_name(deployment: str, content_hash: str) -> str:
    """Name of the ModelRevision of a deployment with this hash (hexadecimal, cut to its first ten digits).

    Raises ValueError for a hash too short to cut.
    """
    if len(content_hash) < REVISION_HASH_LENGTH:
        raise ValueError(f"a revision's hash has at least {REVISION_HASH_LENGTH} digits, not {content_hash!r}")
    return f"{deployment}-{content_hash[:REVISION_HASH_LENGTH]}"


def router_name(router: str) -> str:
    """Name of the Deployment that runs a Router."""
    return f"penstock-router-{router}"
