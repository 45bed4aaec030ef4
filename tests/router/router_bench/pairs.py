"""A model with two servers, the subject of most tests."""

from router_bench.routers import Json, Router, arm, free_port, model
from router_bench.servers import Behaviour, ModelServer, ServerThread


class Pair:
    """A model with a stable and a candidate server on some router."""

    def __init__(self, router: Router, thread: ServerThread, name: str, candidate: Behaviour) -> None:
        self.router = router
        self.name = name
        self.port = free_port()
        self.epoch = 0
        self.stable = ModelServer(thread, f"{name}-1")
        self.candidate = ModelServer(thread, f"{name}-2", candidate)

    def split(self, weight: int, *, dead: tuple[str, ...] = (), **more: object) -> float:
        """Give the candidate this weight (hundredths of a percent) in a new epoch, and wait until it is live.

        `dead` roles have no endpoints.
        """
        self.epoch += 1
        return self.router.put(self.wanted(weight, dead=dead, **more))

    def wanted(self, weight: int, *, dead: tuple[str, ...] = (), **more: object) -> Json:
        """The table's entry for such a split."""
        arms = [
            arm(self.stable.revision, "stable", 10_000 - weight, [] if "stable" in dead else [self.stable.endpoint]),
            arm(self.candidate.revision, "candidate", weight, [] if "candidate" in dead else [self.candidate.endpoint]),
        ]
        return model(self.name, self.port, self.epoch, arms, **more)

    def close(self) -> None:
        """End both servers."""
        for server in (self.stable, self.candidate):
            server.die()
