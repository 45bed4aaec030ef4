"""A plan as a person reads it, in a terminal or a pipe."""

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from penstock.cli.planning.facts import (
    Cause,
    Caution,
    GuardrailFacts,
    Outlook,
    Plan,
    PointsFacts,
    RegressionFacts,
    Shield,
    StepFacts,
)
from penstock.cli.planning.wording import count, duration, manifest_share, percent, traffic
from penstock.judge.forecast import Step

HEADING, GOOD, BAD, DIM = "bold", "green", "red", "dim"

_EXPOSED = percent(Step(1.0).worst_share)

_SHIELD = {
    Shield.REPEATED: "Each bad answer until then is repeated on stable in the same request: callers do not feel it.",
    Shield.OFF: "Callers feel each bad answer until then: spec.traffic.idempotent is false, so nothing is repeated.",
    Shield.SLOW: "Callers wait for each slow answer until then; only past spec.traffic.tryTimeout does stable answer.",
}


def heading(plan: Plan) -> RenderableType:
    """What was asked."""
    rates = ", ".join(f"{', '.join(g.names)} {percent(g.base)}" for g in plan.guardrails)
    routers = "1 router" if plan.routers == 1 else f"{plan.routers} routers"
    return Group(
        Text.assemble((f"Plan of a release of {plan.name}", HEADING)),
        Text(f"{traffic(plan.traffic)} through {routers}; stable's rates: {rates}", DIM),
        Text(
            f"falseRollback {manifest_share(plan.false_rollback)}, missedRegression "
            f"{manifest_share(plan.missed_regression)}, deadline {duration(plan.deadline)}",
            DIM,
        ),
    )


def body(plan: Plan) -> Iterator[RenderableType]:
    """Everything that a plan tells, gravest first."""
    for caution in plan.cautions:
        yield _caution(caution)
    yield _promotion(plan)
    yield _steps(plan)
    for guardrail in plan.guardrails:
        yield _guardrail(guardrail)
    yield _points(plan)
    if plan.fleet is not None:
        yield Text(
            f"A fleet of {plan.fleet.models:,} models with {plan.fleet.releases:g} releases a year each: at most "
            f"{plan.fleet.false_rollbacks:.3g} false rollbacks a year by request evidence, were every candidate exactly "
            "as bad as is tolerated."
        )
    yield Text(
        f"Medians of simulated releases under the judge's rules ({plan.promotion.simulated} of them as good as stable), "
        "for steady traffic whose requests fail independently of each other; bursts and lulls take longer. Not counted: "
        "validation and the start of pods.",
        DIM,
    )


def _caution(caution: Caution) -> RenderableType:
    lines = [Text.assemble(("Warning: ", f"bold {BAD}"), caution.says)]
    if caution.remedies:
        lines.append(Text("  Decidable instead, each on its own:", DIM))
        lines += [Text(f"  - {remedy}") for remedy in caution.remedies]
    return Group(*lines)


def _promotion(plan: Plan) -> RenderableType:
    facts = plan.promotion
    if facts.seconds is None or facts.requests is None:
        return Text(
            f"A candidate as good as stable is promoted before the deadline in {percent(facts.share)} of releases."
        )
    high = facts.seconds.high
    late = (
        f"{math.floor(100.0 * facts.share)} of 100 before the deadline"
        if high is None
        else f"95 of 100 within {duration(high)}"
    )
    return Text.assemble(
        "A candidate as good as stable is promoted after ",
        (duration(facts.seconds.median), f"bold {GOOD}"),
        f" (median; {late}), {count(facts.requests.median)} requests of both sides.",
    )


def _steps(plan: Plan) -> RenderableType:
    table = _table("weight", "from", "lasts", "its requests", "waits for")
    following = [*plan.steps[1:], None]
    for step, after in zip(plan.steps, following, strict=True):
        lasts = "-" if step.ends is None or step.begins is None else duration(step.ends - step.begins)
        table.add_row(
            percent(step.weight),
            "-" if step.begins is None else duration(step.begins),
            lasts,
            "-" if step.requests is None else count(step.requests),
            _why(step, after),
        )
    return _section("Steps, for a candidate as good as stable (medians)", table)


def _why(step: StepFacts, after: StepFacts | None) -> str:
    match step.cause:
        case None:
            return "not reached in time" if step.begins is None else "not left before the deadline"
        case Cause.MIN_REQUESTS if step.named:
            return f"minRequests: {step.min_requests:,}"
        case Cause.MIN_REQUESTS:
            return f"{step.min_requests} requests, the least of any step"
        case Cause.PAUSE:
            return f"pause of {duration(step.pause)}"
        case Cause.EXPOSURE if after is not None:
            return f"exposure: surely at most {_EXPOSED} of all requests harmed at {percent(after.weight)}"
        case Cause.EVIDENCE:
            return "evidence that excludes harm on every guardrail"
        case _:
            return "signs of harm that pass"


def _guardrail(facts: GuardrailFacts) -> RenderableType:
    table = _table("regression", "rate", "verdict", "after", "95 %", "requests", "bad")
    for regression in facts.regressions:
        table.add_row(regression.label, percent(regression.rate), *_found(regression))
    names = " or ".join(facts.names)
    chosen = " (auto)" if facts.auto else ""
    margin = (
        f"{facts.ratio:g} × stable"
        if facts.points == 0.0
        else (f"the larger of {facts.ratio:g} × stable and stable + {manifest_share(facts.points)}{chosen}")
    )
    tolerated = Text(f"Tolerated up to {percent(facts.tolerated)}: {margin}", DIM)
    return _section(f"Regressions of {names}", Group(tolerated, table, Text(_SHIELD[facts.shield], DIM)))


def _found(regression: RegressionFacts) -> tuple[Text | str, ...]:
    tolerated = regression.outlook is Outlook.TOLERATED
    share = regression.promoted if tolerated else regression.rolled_back
    due = f"{'promotion' if tolerated else 'rollback'} {round(share * regression.simulated)}/{regression.simulated}"
    style = {Outlook.FOUND: GOOD, Outlook.UNCERTAIN: BAD, Outlook.TOLERATED: DIM}[regression.outlook]
    if regression.seconds is None or regression.requests is None or regression.failures is None:
        return Text(due, style), Text("undecided", DIM), "", "", ""
    high = regression.seconds.high
    return (
        Text(due, style),
        duration(regression.seconds.median),
        "later" if high is None else duration(high),
        count(regression.requests.median),
        count(regression.failures),
    )


def _points(plan: Plan) -> RenderableType:
    table = _table("points", "decidable", "promoted after", "95 %", "requests")
    for choice in plan.points:
        seconds, requests = choice.promotion.seconds, choice.promotion.requests
        high = "-" if seconds is None or seconds.high is None else duration(seconds.high)
        table.add_row(
            manifest_share(choice.points) + (" auto" if choice.points == plan.auto else ""),
            _decidable(choice),
            "-" if seconds is None else duration(seconds.median),
            high,
            "-" if requests is None else count(requests.median),
        )
    took = f"points: auto takes {manifest_share(plan.auto)} at this traffic."
    title = f"Points on every guardrail: decidable before the deadline of {duration(plan.deadline)}?"
    return _section(title, Group(table, Text(took, DIM)))


def _decidable(choice: PointsFacts) -> Text:
    if choice.decidable:
        return Text("yes", GOOD)
    return Text(f"no: {100.0 * choice.promotion.share:.0f} of 100 in time", BAD)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=DIM)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != "waits for")
    return table


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(title, HEADING), content)
