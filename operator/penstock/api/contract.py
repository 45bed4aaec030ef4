"""What the operator must agree on with the pods it makes: ports, paths, variables, headers. Plain constants.

The model servers and the router's agent hold equal copies, because neither may load what is imported here; a test
compares them.
"""

# A serving pod.
SERVING_PORT = 8080
SERVING_GRPC_PORT = 8001
SERVING_METRICS_PORT = 8081
MONITOR_METRICS_PORT = 8082
PORT_HTTP = "http"
PORT_GRPC = "grpc"
MODEL_ROOT = "/mnt/penstock/models"
VOLUME_ROOT = "/mnt/penstock/volumes"
RUN_ROOT = "/run/penstock"
RUN_AS_USER = 65532

ENV_MODEL_NAME = "PENSTOCK_MODEL_NAME"
ENV_REVISION = "PENSTOCK_REVISION"
ENV_MODEL_URI = "PENSTOCK_MODEL_URI"
ENV_MODEL_DIGEST = "PENSTOCK_MODEL_DIGEST"
ENV_MODEL_ROOT = "PENSTOCK_MODEL_ROOT"
ENV_CA_FILE = "PENSTOCK_CA_FILE"
ENV_GRPC_PORT = "PENSTOCK_GRPC_PORT"
ENV_SIGNED_BY_PUBLIC_KEY = "PENSTOCK_SIGNED_BY_PUBLIC_KEY"
ENV_SIGNED_BY_AUTHORITIES = "PENSTOCK_SIGNED_BY_AUTHORITIES"
ENV_MAX_BODY_BYTES = "PENSTOCK_MAX_BODY_BYTES"
ENV_SKOPS_TRUSTED = "PENSTOCK_SKOPS_TRUSTED"
ENV_SCIKIT_LEARN_MISMATCH = "PENSTOCK_SCIKIT_LEARN_MISMATCH"

PATH_LIVE = "/v2/health/live"
PATH_READY = "/v2/health/ready"
PATH_METRICS = "/metrics"

EXIT_RETRY = 75
EXIT_BAD_INPUT = 78
KIND_RETRY = "Retry"
KIND_BAD_INPUT = "BadInput"
BACKEND_ONNX = "onnx"
BACKEND_SCIKIT_LEARN = "scikit-learn"
MOST_LAST_WORDS = 4096

# A router pod.
READY_PORT = 20000
AGENT_PORT = 9100
SUPERVISOR_PORT = 9101
READY_PATH = "/ready"

# Headers, in the lower case of HTTP/2.
HEADER_REFUSED = "x-penstock-refused"
HEADER_SATURATED = "x-penstock-saturated"
HEADER_CURSOR = "x-penstock-cursor"
HEADER_COMPLETE_UNTIL = "x-penstock-complete-until"
HEADER_GAP = "x-penstock-gap"
