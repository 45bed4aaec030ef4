"""From outcomes to a table that can be kept with the code."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

PASS, FAIL, NOT_OFFERED = "pass", "FAIL", "not offered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: the specification's document and section, what must hold, and what was seen."""

    document: str
    section: str
    title: str
    result: str
    seen: str


def markdown(server: str, outcomes: Sequence[Outcome]) -> str:
    """The report: a line of totals, then a table by document and section."""
    counts = Counter(outcome.result for outcome in outcomes)
    totals = ", ".join(f"{counts[result]} {result}" for result in (PASS, FAIL, NOT_OFFERED))
    lines = [f"# Open Inference Protocol v2: {server}", "", totals, ""]
    lines += ["| specification | section | must hold | result | seen |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        cells = (outcome.document, outcome.section, outcome.title, outcome.result, outcome.seen)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
