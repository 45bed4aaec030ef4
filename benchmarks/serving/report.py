"""The report: Markdown with a chart."""

import json
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.measure import CASE_OF_STATICS, CLOSED, MOST_CONNECTIONS, TURNS, Sample
from benchmarks.serving.peers import BENTOML, GRANIAN, KSERVE, MLSERVER
from benchmarks.serving.servers import GRANIAN_STATIC, OUR_STATIC, OURS, names

MOST = CLOSED[-1]
STATIC = "static p99 ms at that rate"
_OPEN_LOOP = (
    "The peak is timed anew before each run, at 64 connections. Times count from when a request was due. Goodput: answers "
    f"200 within 100 ms, as a share of the peak. At most {MOST_CONNECTIONS} connections; a request that finds none free "
    f"counts as failed. The static answer was asked at the same rate as Penstock, by turns of half a run, {TURNS} of each; "
    "the ratio is the median of theirs, in which a run of ours with a failed request counts as endless, unless the static "
    "one had some, too."
)
_ALONE = (
    "Time of an answer, and in brackets what it takes beyond a call of the model from Python (Penstock's: of what it "
    "serves), which was timed by itself just before and after (µs)."
)
Found = list[float]


class Results:
    """The samples, by what they are asked for."""

    def __init__(self, samples: Sequence[Sample], backends: Mapping[str, str]) -> None:
        self._samples, self.backends = samples, backends

    @classmethod
    def kept(cls, path: Path) -> "Results":
        """What `keep` wrote."""
        content = json.loads(path.read_text())
        return cls(content["samples"], content["backends"])

    def keep(self, path: Path) -> None:
        """Write all to a file."""
        path.write_text(json.dumps({"backends": self.backends, "samples": self._samples}, indent=1) + "\n")

    def with_more(self, samples: Sequence[Sample], backends: Mapping[str, str]) -> "Results":
        """These and what was measured later."""
        return Results([*self._samples, *samples], {**self.backends, **backends})

    @property
    def cases(self) -> list[str]:
        """Models, in the order of the rounds' definition."""
        return list(self.backends)

    def values(self, case: str, server: str, kind: str, field: str, **more: Any) -> Found:
        """A field of all runs of one kind."""
        wanted = {"case": case, "server": server, "kind": kind} | more
        return [sample[field] for sample in self._samples if wanted.items() <= sample.items()]

    def middle(self, case: str, server: str, kind: str, field: str, **more: Any) -> float:
        """The median of a field; NaN where there was no run."""
        found = self.values(case, server, kind, field, **more)
        return float(np.median(found)) if found else float("nan")

    def rate(self, case: str, server: str, connections: int = MOST) -> float:
        """Answers per second of the closed loop."""
        return self.middle(case, server, "closed", "rate", connections=connections)

    @property
    def seconds(self) -> Found:
        """Of each run."""
        return [sample["seconds"] for sample in self._samples]

    def runs(self, server: str, kind: str) -> Found:
        """How many there were of a kind, for each model that there were some of."""
        return [len(found) for case in self.cases if (found := self.values(case, server, kind, "seconds"))]

    def static(self) -> float:
        """The faster of the two static answers."""
        return max(self.rate(CASE_OF_STATICS, name) for name in (OUR_STATIC, GRANIAN_STATIC))


def write(results: Results, target: Path) -> None:
    """Write `serving.md` and its chart to a folder."""
    target.mkdir(parents=True, exist_ok=True)
    chart(results, target / "serving.svg")
    (target / "serving.md").write_text(markdown(results))


def markdown(results: Results) -> str:
    """The report's text."""
    versions = ", ".join(f"{peer.name} {peer.version}" for peer in (KSERVE, MLSERVER, BENTOML, GRANIAN))
    servers = [name for name in names() if any(results.values(case, name, "closed", "rate") for case in results.cases)]
    intro = (
        f"Made by `make bench-serving` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPUs ({_processor()}), "
        f"Python {platform.python_version()}, {versions}. {_effort(results, servers)} Server on one core, load on the "
        "other; all servers in turn, in another order each round. The static answers are Python's; Penstock takes ordinary "
        "requests natively, and calls Python for models that are not compiled, but that neighbours vote natively where "
        "they are in no doubt. One row in V2 JSON (BentoML: its own JSON), 512 different rows. Penstock "
        "validates, and feeds its monitor, which runs on the server's core and is there before it. Medians, and in brackets "
        "least and most."
    )
    lines = [
        "# The model server beside others",
        "",
        intro,
        "",
        "![Answers per second](serving.svg)",
        "",
        f"## Answers per second, {MOST} connections",
        "",
        _table(["model", "served by", *servers], [_rates(results, case, servers) for case in results.cases]),
        "",
        *_multiples(results),
        "",
        "## One connection",
        "",
        _ALONE,
        "",
        _table(["model", *servers], [_alone(results, case, servers) for case in results.cases]),
        "",
        "## Half and twice the own peak, open loop",
        "",
        _OPEN_LOOP,
        "",
        _table(
            ["model", "server", "peak/s", "p50 ms", "p99 ms at half", STATIC, "ratio", "goodput at twice"],
            [row for case in results.cases for row in _open(results, case, servers)],
        ),
        "",
        "## Start and memory",
        "",
        _table(
            ["model", "server", "start to first answer s", "PSS MB after load"],
            [row for case in results.cases for row in _start(results, case, servers)],
        ),
        "",
    ]
    return "\n".join(lines)


def _effort(results: Results, servers: Sequence[str]) -> str:
    """How long and how often was asked, from what there is."""
    rounds = [count for name in servers for count in results.runs(name, "start")]
    others = [count for name in servers if name != OURS for count in results.runs(name, "half")]
    return (
        f"{_span(rounds)} rounds of {_span(results.seconds)} s, {_span(results.runs(OURS, 'half'))} runs of each open loop "
        f"({_span(others)} for the others)."
    )


def _span(values: Sequence[float]) -> str:
    least, most = min(values, default=0), max(values, default=0)
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _spread(found: Found, form: Callable[[float], str]) -> str:
    if not found:
        return ""
    middle, least, most = float(np.median(found)), min(found), max(found)
    return form(middle) if len(found) == 1 else f"{form(middle)} [{form(least)}-{form(most)}]"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _rates(results: Results, case: str, servers: Sequence[str]) -> list[str]:
    found = [results.values(case, server, "closed", "rate", connections=MOST) for server in servers]
    return [case, results.backends[case], *(_spread(values, _whole) for values in found)]


def _multiples(results: Results) -> list[str]:
    lines = []
    for case in results.cases:
        ours, kserve = results.rate(case, OURS), results.rate(case, KSERVE.name)
        lines.append(f"- {case}: {ours / kserve:.1f} times KServe")
    share = results.rate(CASE_OF_STATICS, OURS) / results.static()
    lines.append(f"- {CASE_OF_STATICS}: {share:.0%} of the faster static answer ({results.static():,.0f}/s)")
    return lines


def _alone(results: Results, case: str, servers: Sequence[str]) -> list[str]:
    cells = [case]
    for server in servers:
        p50 = results.values(case, server, "alone", "p50")
        bare = results.values(case, server, "alone", "bare")
        if not p50:
            cells.append("")
        elif server in {OUR_STATIC, GRANIAN_STATIC}:
            cells.append(_whole(float(np.median(p50)) * 1e6))
        else:
            over = np.median(np.subtract(p50, bare))
            cells.append(f"{np.median(p50) * 1e6:,.0f} ({over * 1e6:,.0f})")
    return cells


def _beside_static(results: Results, case: str) -> Found:
    """Our slowest hundredth by the static answer's, of each pair. Where requests of ours alone failed, the times of those
    that were answered say little; where both failed, the machine stood still."""
    p99, failed, static, static_failed = (
        results.values(case, OURS, "half", field) for field in ("p99", "failed", "static_p99", "static_failed")
    )
    pairs = zip(p99, failed, static, static_failed, strict=True)
    return [math.inf if lost and not its else ours / answer for ours, lost, answer, its in pairs]


def _open(results: Results, case: str, servers: Sequence[str]) -> list[list[str]]:
    rows = []
    for server in servers:
        halves = results.values(case, server, "half", "p99")
        if not halves:
            continue
        ratios = _beside_static(results, case) if server == OURS else []
        beside = results.values(case, server, "half", "static_p99") if server == OURS else []
        peaks = results.values(case, server, "twice", "peak")
        good = [
            value / peak for value, peak in zip(results.values(case, server, "twice", "goodput"), peaks, strict=True)
        ]
        rows.append(
            [
                case,
                server,
                _whole(float(np.median(peaks))),
                f"{results.middle(case, server, 'half', 'p50') * 1e3:.2f}",
                _spread([value * 1e3 for value in halves], lambda value: f"{value:.2f}"),
                _spread([value * 1e3 for value in beside], lambda value: f"{value:.2f}"),
                f"{np.median(ratios):.2f}" if ratios else "",
                _spread(good, lambda value: f"{value:.0%}"),
            ]
        )
    return rows


def _start(results: Results, case: str, servers: Sequence[str]) -> list[list[str]]:
    return [
        [
            case,
            server,
            _spread(results.values(case, server, "start", "ready"), lambda value: f"{value:.2f}"),
            _spread(results.values(case, server, "memory", "bytes"), lambda value: f"{value / 1e6:.0f}"),
        ]
        for server in servers
        if results.values(case, server, "start", "ready")
    ]


def chart(results: Results, path: Path) -> None:
    """Answers per second by model and server, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    servers = [OURS, KSERVE.name, MLSERVER.name, BENTOML.name]
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    width = 0.8 / len(servers)
    for at, server in enumerate(servers):
        rates = [results.rate(case, server) for case in results.cases]
        places = np.arange(len(results.cases)) + (at - (len(servers) - 1) / 2) * width
        bars = axes.bar(places, np.nan_to_num(rates, nan=0.0), width * 0.95, label=server)
        axes.bar_label(bars, [f"{rate:,.0f}" if rate == rate else "" for rate in rates], fontsize=7, padding=1)
    axes.axhline(results.static(), color="grey", linewidth=0.8, linestyle="--")
    axes.text(len(results.cases) - 0.5, results.static(), "static answer", ha="right", va="bottom", fontsize=8)
    axes.set_yscale("log")
    axes.set_xticks(np.arange(len(results.cases)), results.cases)
    axes.set_ylabel(f"answers per second, {MOST} connections, one core")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(servers), loc="upper center", bbox_to_anchor=(0.5, -0.08))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
