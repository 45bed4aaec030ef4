"""What was read for one pass, and the snapshot it makes together with what else is known."""

from dataclasses import dataclass, replace
from datetime import datetime

from penstock.api import Router
from penstock.reconcile.routing_view import route_view
from penstock.world import AgentReport, Evidence, Live, Obstacle, Pod, RouterWorld, RouteView, World


@dataclass(frozen=True, slots=True)
class Beside:
    """What a snapshot holds besides what the API server says."""

    now: datetime
    reports: tuple[AgentReport, ...] = ()
    evidence: Evidence | None = None
    obstacle: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class DeploymentReading:
    """Everything read for one ModelDeployment. `base` is the snapshot as far as the API server tells it."""

    base: World
    router: Router | None
    table: Live | None
    router_pods: tuple[Pod, ...]

    def world(self, beside: Beside) -> World:
        """The whole snapshot."""
        return replace(
            self.base,
            now=beside.now,
            route=self.route(beside.reports),
            evidence=beside.evidence,
            obstacle=beside.obstacle,
        )

    def route(self, reports: tuple[AgentReport, ...]) -> RouteView:
        """What the router has for this deployment."""
        return route_view(self.base.deployment.metadata, self.router, self.table, self.router_pods, reports)


@dataclass(frozen=True, slots=True)
class RouterReading:
    """Everything read for the Router of a namespace."""

    base: RouterWorld

    def world(self, beside: Beside) -> RouterWorld:
        """The whole snapshot."""
        return replace(self.base, now=beside.now, reports=beside.reports, obstacle=beside.obstacle)
