"""What the router should do, as the operator says it: models, their arms, and the promises of their traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

FULL_WEIGHT = 10_000
"""Weights are hundredths of a percent, so a split has steps of 0.01 %."""


class Role(StrEnum):
    """Which side of a release an arm is on."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Dialect(StrEnum):
    """How a model server says that it refuses an input."""

    MARKED = "marked"
    """Our own server: refused or too busy is what its headers say, any other 4xx is the caller's."""
    PLAIN = "plain"
    """Any other server: 400 and 422 are refusals."""


class Protocol(StrEnum):
    """What the model server speaks on its port for everything but gRPC."""

    HTTP1 = "http1"
    HTTP2 = "h2c"


class Lane(StrEnum):
    """Kinds of requests that go to different ports of the same pods. The split, the shield and the counts are one."""

    HTTP = "http"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One address of a model server: an IP address and a port."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Arm:
    """One revision of a model and its share of requests (`weight`, hundredths of a percent).

    `grpc_endpoints` are the same pods where they answer gRPC.
    """

    revision: str
    role: Role
    weight: int
    endpoints: tuple[Endpoint, ...]
    grpc_endpoints: tuple[Endpoint, ...] = ()

    def endpoints_of(self, lane: Lane) -> tuple[Endpoint, ...]:
        """Where requests of this kind go."""
        return self.grpc_endpoints if lane is Lane.GRPC else self.endpoints


@dataclass(frozen=True, slots=True)
class Threshold:
    """A latency guardrail: how many requests took at least this long."""

    name: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Everything the router needs to know of one model.

    `epoch` grows with every change of arms or weights within one `uid`; evidence is kept apart by it. Milliseconds and
    bytes. `try_timeout` cuts the candidate's answer off and is only counted for stable's.
    """

    name: str
    uid: str
    release: str
    port: int
    epoch: int
    timeout: int
    try_timeout: int
    max_body: int
    idempotent: bool
    dialect: Dialect
    protocol: Protocol
    thresholds: tuple[Threshold, ...]
    stable: Arm
    candidate: Arm | None = None

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Candidate first, stable last: raising the weight then never moves an assigned request back."""
        return (self.stable,) if self.candidate is None else (self.candidate, self.stable)

    @property
    def candidate_weight(self) -> int:
        """The candidate's share in hundredths of a percent; 0 without one."""
        return 0 if self.candidate is None else self.candidate.weight

    @property
    def revisions(self) -> frozenset[tuple[str, Role]]:
        """Which revisions it needs, and as what."""
        return frozenset((arm.revision, arm.role) for arm in self.arms)

    @property
    def split(self) -> tuple[tuple[str, Role, int], ...]:
        """What an epoch stands for: revisions, roles and weights, without endpoints."""
        return tuple((arm.revision, arm.role, arm.weight) for arm in self.arms)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The operator's wish for one router. `refused` names the models whose part could not be read, with the reason;
    with `unnamed` parts nobody can say which models are wanted, so none is removed."""

    models: Mapping[str, ModelRoute]
    refused: Mapping[str, str]
    unnamed: tuple[str, ...] = ()
