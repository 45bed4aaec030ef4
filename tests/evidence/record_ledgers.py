"""Records the ledgers in `recorded/` with the real Envoy and the real agent: `python tests/evidence/record_ledgers.py`.

One file for each behaviour of the candidate and share of the traffic (percent): the rows of some seconds at a steady
rate of requests, as the agent's `/ledger` gave them.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "router"))

from router_bench import servers
from router_bench.callers import Load
from router_bench.envoy import find_envoy
from router_bench.pairs import Pair
from router_bench.routers import Router, Table, until

HERE = Path(__file__).parent
RATE = 250.0
SECONDS = 8.0
WEIGHTS = (0, 10, 50)
BEHAVIOURS = {"healthy": servers.OK, "failing": servers.FAIL, "refusing": servers.REFUSE}


def main() -> None:
    """Write all files."""
    thread = servers.ServerThread()
    table = Table(HERE / "recorded" / ".table.json")
    router = Router(find_envoy(), table, name="recorded")
    try:
        for name, behaviour in BEHAVIOURS.items():
            pair = Pair(router, thread, name, behaviour)
            for weight in WEIGHTS:
                pair.split(weight * 100)
                with Load(pair.port, RATE) as load:
                    time.sleep(SECONDS)
                until(lambda pair=pair: _requests(router, pair) >= len(load.seen), "all are in the ledger")
                rows = [row for row in router.rows(name) if row["version"] == pair.epoch]
                text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
                (HERE / "recorded" / f"{name}-{weight}.jsonl").write_text(text)
            pair.close()
    finally:
        router.stop()
        thread.close()
        table.path.unlink(missing_ok=True)


def _requests(router: Router, pair: Pair) -> int:
    return sum(row["requests"] for row in router.rows(pair.name) if row["version"] == pair.epoch)


if __name__ == "__main__":
    main()
