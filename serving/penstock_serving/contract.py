"""The contract between the pods that Penstock makes and the operator and router that look after them.

Plain constants only. The operator holds an equal copy; a test compares the two.
"""

# Ports inside a serving pod.
SERVING_PORT = 8080
SERVING_GRPC_PORT = 8001
SERVING_METRICS_PORT = 8081
MONITOR_METRICS_PORT = 8082

# Where things are mounted.
MODEL_ROOT = "/mnt/penstock/models"
VOLUME_ROOT = "/mnt/penstock/volumes"
RUN_ROOT = "/run/penstock"
MONITOR_SOCKET = "/run/penstock/monitor.sock"
TERMINATION_LOG = "/dev/termination-log"
RUN_AS_USER = 65532

# Who serves what: read by fetch, server and monitor.
ENV_MODEL_NAME = "PENSTOCK_MODEL_NAME"
ENV_REVISION = "PENSTOCK_REVISION"
ENV_MODEL_URI = "PENSTOCK_MODEL_URI"
ENV_MODEL_DIGEST = "PENSTOCK_MODEL_DIGEST"
ENV_MODEL_ROOT = "PENSTOCK_MODEL_ROOT"
ENV_TERMINATION_LOG = "PENSTOCK_TERMINATION_LOG"

# Fetching.
ENV_VOLUME_ROOT = "PENSTOCK_VOLUME_ROOT"
ENV_MODEL_MAX_BYTES = "PENSTOCK_MODEL_MAX_BYTES"
ENV_CA_FILE = "PENSTOCK_CA_FILE"
ENV_SIGNED_BY_PUBLIC_KEY = "PENSTOCK_SIGNED_BY_PUBLIC_KEY"
ENV_SIGNED_BY_AUTHORITIES = "PENSTOCK_SIGNED_BY_AUTHORITIES"
ENV_HTTP_AUTHORIZATION = "PENSTOCK_HTTP_AUTHORIZATION"
ENV_PROOF_SECONDS = "PENSTOCK_PROOF_SECONDS"  # how long proving a compiled form again may take

# Serving.
ENV_BIND_ADDRESS = "PENSTOCK_BIND_ADDRESS"
ENV_SERVING_PORT = "PENSTOCK_SERVING_PORT"
ENV_GRPC_PORT = "PENSTOCK_GRPC_PORT"
ENV_SERVING_METRICS_PORT = "PENSTOCK_SERVING_METRICS_PORT"
ENV_MAX_BODY_BYTES = "PENSTOCK_MAX_BODY_BYTES"
ENV_MAX_IN_FLIGHT = "PENSTOCK_MAX_IN_FLIGHT"
ENV_PREDICT_THREADS = "PENSTOCK_PREDICT_THREADS"
ENV_PREDICT_TIMEOUT_SECONDS = "PENSTOCK_PREDICT_TIMEOUT_SECONDS"
ENV_WORKERS = "PENSTOCK_WORKERS"
ENV_DRAIN_SECONDS = "PENSTOCK_DRAIN_SECONDS"
ENV_SKOPS_TRUSTED = "PENSTOCK_SKOPS_TRUSTED"
ENV_SCIKIT_LEARN_MISMATCH = "PENSTOCK_SCIKIT_LEARN_MISMATCH"

# Monitoring.
ENV_MONITOR_SOCKET = "PENSTOCK_MONITOR_SOCKET"
ENV_MONITOR_METRICS_PORT = "PENSTOCK_MONITOR_METRICS_PORT"
ENV_METRICS_TOKEN_FILE = "PENSTOCK_METRICS_TOKEN_FILE"  # noqa: S105

# Headers, in the lower case of HTTP/2.
HEADER_REFUSED = (
    "x-penstock-refused"  # "1" on a 4xx that the model can cause: counted as refused, answered by the shield
)
HEADER_SATURATED = "x-penstock-saturated"  # "1" on a 429 or 503 of ours that says "too busy", never "broken"
HEADER_DIGEST = "x-penstock-digest"  # the digest of the model that answered
HEADER_REVISION = "x-penstock-revision"  # the revision that answered
HEADER_EXPECTED_TIMEOUT = "x-envoy-expected-rq-timeout-ms"  # how long Envoy waits for this attempt

# Paths.
PATH_LIVE = "/v2/health/live"
PATH_READY = "/v2/health/ready"
PATH_METRICS = "/metrics"

# What a container says in its termination log when it gives up: one JSON object {"reason", "kind", "message"}.
REASON_MISCONFIGURED = "Misconfigured"
REASON_UNREACHABLE = "ModelUnreachable"
REASON_NOT_FOUND = "ModelNotFound"
REASON_FORBIDDEN = "ModelForbidden"
REASON_DIGEST_MISMATCH = "DigestMismatch"
REASON_SIGNATURE_REFUSED = "SignatureRefused"
REASON_TOO_LARGE = "ModelTooLarge"
REASON_ARCHIVE_REFUSED = "ArchiveRefused"
REASON_NOT_A_MODEL = "NotAModel"
REASON_NOT_PINNED = "DigestNotPinned"
REASON_VERSION_MISMATCH = "ScikitLearnMismatch"
REASON_SELF_TEST_FAILED = "SelfTestFailed"
REASON_NO_SPACE = "NoSpace"
KIND_RETRY = "Retry"  # may pass by itself: the container is restarted and tries again
KIND_BAD_INPUT = "BadInput"  # the same model will fail again until somebody changes it

# What fetch says in its termination log when it is done: one JSON object, from what the package will be served by.
# {"backend"; "fallbackReason" where it is not the compiled form; "proof": {"rows", "compared": [{"method",
# "largestDifference", "on", "ties"}], "versions": {"scikitLearn", "onnx", "onnxruntime", "numpy"}} where it is}
BACKEND_ONNX = "onnx"  # the compiled form with its proof, or without one a graph that the owner brought
BACKEND_SCIKIT_LEARN = "scikit-learn"
MOST_LAST_WORDS = 4096  # bytes that a kubelet keeps of a termination log

# Container exit codes of fetch and server.
EXIT_RETRY = 75
EXIT_BAD_INPUT = 78

# Counters of the model server (Prometheus text; every series carries the identity labels).
IDENTITY_LABELS = ("model", "revision", "digest")
METRIC_REQUESTS = "penstock_server_requests_total"  # labels: route, code (a gRPC code's name)
METRIC_SECONDS = "penstock_server_request_seconds"  # histogram; labels: route
METRIC_ROWS = "penstock_server_rows_total"
METRIC_IN_FLIGHT = "penstock_server_in_flight"
METRIC_REFUSED = "penstock_server_refused_total"  # labels: rule
METRIC_SATURATED = "penstock_server_saturated_total"
METRIC_STARTUP_SECONDS = "penstock_server_startup_seconds"  # labels: phase
METRIC_REPLACED = "penstock_server_workers_replaced_total"
METRIC_FEED_RECORDS = "penstock_server_feed_records_total"  # labels: outcome (sent, dropped)

# Counters of the monitor.
METRIC_MONITOR_RECORDS = "penstock_monitor_records_total"  # labels: kind (row, refusal)
METRIC_MONITOR_LOST = "penstock_monitor_lost_records_total"
METRIC_MONITOR_MALFORMED = "penstock_monitor_malformed_datagrams_total"
METRIC_MONITOR_RESTARTS = "penstock_monitor_restarts_total"
METRIC_FEATURE_VALUE = "penstock_feature_value"  # histogram, buckets only; labels: feature
METRIC_FEATURE_MISSING = "penstock_feature_missing_total"  # labels: feature
METRIC_FEATURE_CATEGORY = "penstock_feature_category_total"  # labels: feature, category
METRIC_PREDICTION_VALUE = "penstock_prediction_value"  # histogram, buckets only
METRIC_PREDICTION_CLASS = "penstock_prediction_class_total"  # labels: class
METRIC_PREDICTION_UNOBSERVED = "penstock_prediction_unobserved_total"
METRIC_SCHEMA_VIOLATIONS = "penstock_schema_violations_total"  # labels: feature, rule
UNSEEN_CATEGORY = "(unseen)"
NO_FEATURE = "(none)"
