"""The agent's own metrics, as Prometheus text."""

from collections.abc import Iterable

from penstock.router.agent import Agent
from penstock.router.tally import NAMES, Tally

_Sample = tuple[dict[str, str], float]


def exposition(agent: Agent) -> str:
    """All metrics of one agent."""
    families = (
        _family("penstock_router_requests_total", "counter", "Requests by arm and what became of them.", _requests(agent)),
        _family("penstock_router_weight", "gauge", "The candidate's share in force, 0 to 1.", _weights(agent)),
        _family("penstock_router_models_kept_back", "gauge", "Models that keep their last good routes.",
                [({}, float(len(agent.kept_back)))]),
        _family("penstock_router_refusals_total", "counter", "Parts that Envoy refused.", [({}, float(agent.refusals))]),
        _family("penstock_router_confirmed", "gauge", "Whether the running Envoy has confirmed its configuration.",
                [({}, float(agent.confirmed_boot is not None))]),
        _family("penstock_router_table_problem", "gauge", "Whether the routing table cannot be read in part or whole.",
                [({}, float(agent.table_problem is not None))]),
        _family("penstock_router_ledger_complete_until_seconds", "gauge", "Up to when the ledger is complete.",
                [({}, agent.complete_until)]),
        _family("penstock_router_unread_counters", "gauge", "Envoy's counters that belong to no model known here.",
                [({}, float(agent.ledger.unread if agent.ledger is not None else 0))]),
    )  # fmt: skip
    return "".join(families)


def _requests(agent: Agent) -> Iterable[_Sample]:
    if agent.ledger is None:
        return
    sums: dict[tuple[str, str, str], Tally] = {}
    for key, tally in agent.ledger.tallies.items():
        slot = agent.state.slot(key.model, key.slot)
        if slot is not None:
            revision = (slot.stable if key.role.value == "stable" else slot.candidate) or ""
            whose = (key.model, key.role.value, revision)
            sums[whose] = sums.get(whose, Tally()).plus(tally)
    for (model, arm, revision), tally in sorted(sums.items()):
        for name, count in zip(NAMES, tally.numbers(), strict=False):
            yield {"model": model, "arm": arm, "revision": revision, "outcome": name}, float(count)


def _weights(agent: Agent) -> Iterable[_Sample]:
    for name, model in sorted(agent.state.models.items()):
        yield {"model": name}, model.route.candidate_weight / 10_000


def _family(name: str, kind: str, help_text: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{inner}}} {value:.15g}" if inner else f"{name} {value:.15g}")
    return "\n".join(lines) + "\n"
