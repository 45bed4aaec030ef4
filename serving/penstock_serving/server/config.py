"""Everything the environment decides."""

import os
from dataclasses import dataclass
from pathlib import Path

from penstock_serving import contract, settings
from penstock_serving.metrics_port import read_token
from penstock_serving.model import trust
from penstock_serving.model.files import model_directory
from penstock_serving.model.trust import Trust
from penstock_serving.server.dispatch import Limits
from penstock_serving.server.identity import Identity
from penstock_serving.server.quota import MOST_WORKERS, default_threads, default_workers, read_quota

_MANY = 1 << 30


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides."""

    identity: Identity
    models: Path
    address: str
    port: int
    grpc_port: int
    metrics_port: int
    max_body: int
    limits: Limits
    drain_seconds: float
    monitor_socket: Path
    token: bytes
    trust: Trust
    workers: int

    @property
    def directory(self) -> Path:
        """Where the package is."""
        return model_directory(self.models, self.identity.digest)


def read_settings() -> Settings:
    """Read the environment; raises `BadModelError` (Misconfigured, DigestNotPinned) naming the variable."""
    identity = Identity(
        name=settings.text(contract.ENV_MODEL_NAME),
        revision=settings.text(contract.ENV_REVISION, "none"),
        digest=settings.text(contract.ENV_MODEL_DIGEST),
    )
    models, quota = settings.path(contract.ENV_MODEL_ROOT, contract.MODEL_ROOT), read_quota()
    fitting = default_workers(quota, _size(model_directory(models, identity.digest)))
    workers = settings.integer(contract.ENV_WORKERS, fitting, 1, MOST_WORKERS)
    return Settings(
        identity=identity,
        models=models,
        address=settings.text(contract.ENV_BIND_ADDRESS, "0.0.0.0"),  # noqa: S104  (a pod is reached from outside)
        port=settings.integer(contract.ENV_SERVING_PORT, contract.SERVING_PORT, 1, 65535),
        grpc_port=settings.integer(contract.ENV_GRPC_PORT, 0, 0, 65535),
        metrics_port=settings.integer(contract.ENV_SERVING_METRICS_PORT, contract.SERVING_METRICS_PORT, 1, 65535),
        max_body=settings.integer(contract.ENV_MAX_BODY_BYTES, 1 << 20, 1, _MANY),
        limits=Limits(
            threads=settings.integer(contract.ENV_PREDICT_THREADS, default_threads(quota, workers), 1, 256),
            in_flight=settings.integer(contract.ENV_MAX_IN_FLIGHT, 1024, 1, 100_000),
            timeout_seconds=settings.seconds(contract.ENV_PREDICT_TIMEOUT_SECONDS, 10.0, 3600.0),
        ),
        drain_seconds=settings.seconds(contract.ENV_DRAIN_SECONDS, 20.0, 3600.0),
        monitor_socket=settings.path(contract.ENV_MONITOR_SOCKET, contract.MONITOR_SOCKET),
        token=read_token(os.environ.get(contract.ENV_METRICS_TOKEN_FILE, "")),
        trust=trust.from_environment(),
        workers=workers,
    )


def _size(directory: Path) -> int:
    """Bytes of the package's files."""
    return sum(entry.lstat().st_size for entry in directory.glob("*"))
