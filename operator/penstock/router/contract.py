"""What the agent shares with the operator and the model servers: ports, headers, file names. Plain constants.

They equal the operator's and the servers' own copies (a test compares them); importing those would load pydantic into
every router pod.
"""

READY_PORT = 20000
"""Answers 200 while this Envoy has a complete configuration and is not draining; the pod's readiness probe."""
AGENT_PORT = 9100
"""The agent: ledger, state, metrics."""
SUPERVISOR_PORT = 9101
"""The agent's supervisor: liveness, restarts, and the drain that a stopping pod waits for."""

PORT_HTTP = "http"
"""Name of the port of a revision's Service that leads to its pods' requests."""
PORT_GRPC = "grpc"
"""The same for gRPC."""

HEADER_REFUSED = "x-penstock-refused"
"""Set by our model server on a 4xx answer that the model can cause."""
HEADER_SATURATED = "x-penstock-saturated"
"""Set by our model server on a 429 or 503 that means too busy, never broken."""
HEADER_ASSIGNED = "x-penstock-assigned"
"""Set by the router on each request: the revision that the split chose, also on a repetition by stable."""
HEADER_MODEL = "x-penstock-model"
"""Set by the listener, never by callers: which model a request is for."""

HEADER_CURSOR = "x-penstock-cursor"
"""On an answer of the ledger: where the next read goes on."""
HEADER_COMPLETE_UNTIL = "x-penstock-complete-until"
"""On an answer of the ledger: seconds since 1970 up to which nothing is missing. Only this tells silence from death."""
HEADER_GAP = "x-penstock-gap"
"""On an answer of the ledger: `true` when rows after the given cursor are lost for good."""

READY_PATH = "/ready"
