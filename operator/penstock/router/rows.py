"""Ledger rows as JSON: the counters' format that `penstock replay` reads, with the router's own detail beside it."""

import json
from collections.abc import Iterable

from penstock.router.counters import Key
from penstock.router.ledger import Row, Tick
from penstock.router.routing import Role
from penstock.router.tally import NAMES, Tally

JsonRow = dict[str, object]

JUDGED = ("failed", "refused")
"""Counts that guardrails read, beside `slow`."""


def row_json(row: Row, router: str, boot: str, time: float) -> JsonRow:
    """One row. What a judge reads is told also where it is zero, as a missing count is unknown to it; other zeros are left
    out. `router` names the replica and its boot: what two boots counted is two streams of evidence."""
    tally = row.tally
    counts = dict(zip(NAMES, tally.numbers(), strict=False)) | {"failed": tally.failed}
    weight = int(row.weight) if row.weight == int(row.weight) else row.weight
    told: JsonRow = {
        "t": time,
        "router": f"{router}/{boot}",
        "boot": boot,
        "model": row.model,
        "version": row.version,
        "arm": row.arm.value,
        "revision": row.revision,
        "weight": weight,
        "requests": tally.requests,
        **({"release": row.release} if row.release else {}),
    }
    told |= {name: count for name, count in counts.items() if name not in told and (count or name in JUDGED)}
    slow = dict(zip(row.thresholds, tally.slow, strict=False))
    return told | ({"slow": slow} if slow else {})


def tick_line(tick: Tick, sequence: int, router: str) -> str:
    """A tick as one line of the journal."""
    return json.dumps(
        {
            "seq": sequence,
            "t": tick.time,
            "boot": tick.boot,
            "rows": [row_json(row, router, tick.boot, tick.time) for row in tick.rows],
            "deltas": deltas_json(tick.deltas.items()),
        },
        separators=(",", ":"),
    )


def deltas_json(tallies: Iterable[tuple[Key, Tally]]) -> list[object]:
    """Tallies by key, as `read_deltas` reads them."""
    return [[key.model, key.generation, key.slot, key.role.value, *tally.numbers()] for key, tally in tallies]


def read_deltas(raw: object) -> dict[Key, Tally]:
    """Raises ValueError or TypeError when they were not written by `deltas_json`."""
    if not isinstance(raw, list):
        raise TypeError("deltas are a list")
    return {
        Key(str(model), int(generation), int(slot), Role(role)): Tally.of(map(int, numbers))
        for model, generation, slot, role, *numbers in raw
    }
