"""The judge's memory as a few hundred bytes: versioned, exact to the last bit, refused when it does not belong.

Numbers are stored as float64, so that a resumed release gives the byte-identical verdict. Rows that wait for their second
to close are stored too. The criteria are not: they are frozen with the release elsewhere, and a digest tells when others
are handed in.
"""

import hashlib
import json
import struct
import zlib
from dataclasses import astuple
from typing import Any

from penstock.judge.base import BaseRate
from penstock.judge.criteria import Arm, Criteria, Guardrail, Unit
from penstock.judge.doubt import Doubt
from penstock.judge.guardrail import Evidence
from penstock.judge.interval import Difference
from penstock.judge.release import Release
from penstock.judge.restarts import Spending
from penstock.judge.rows import Row, Users
from penstock.judge.strata import Open, Tally

VERSION = 1
MAGIC = b"PSJ"


class UnreadableState(ValueError):
    """Stored state that cannot be used; the message says why. Replay the counters from the start instead."""


def dump(release: Release) -> bytes:
    """The state of `release`."""
    text = json.dumps(_facts(release), separators=(",", ":"), ensure_ascii=False).encode()
    numbers = [
        number
        for rail, evidence in zip(release.criteria.guardrails, release.evidence, strict=True)
        for number in _numbers(rail, evidence)
    ]
    body = zlib.compress(text, 9)
    return b"".join(
        (MAGIC, bytes((VERSION,)), digest(release.criteria), struct.pack("<I", len(body)), body,
         struct.pack(f"<{len(numbers)}d", *numbers))
    )  # fmt: skip


def resume(criteria: Criteria, stored: bytes) -> Release:
    """The release that `dump` stored.

    Raises:
        UnreadableState: when the bytes are damaged, of another version, or of a release with other criteria.
    """
    if stored[:3] != MAGIC or len(stored) < 16:
        raise UnreadableState("this is no state of the judge")
    if stored[3] != VERSION:
        raise UnreadableState(f"the state has version {stored[3]}, this is version {VERSION}")
    if stored[4:12] != digest(criteria):
        raise UnreadableState("the state belongs to a release with other guardrails or error rates")
    try:
        (length,) = struct.unpack_from("<I", stored, 12)
        facts = json.loads(zlib.decompress(stored[16 : 16 + length]))
        rest = stored[16 + length :]
        numbers = list(struct.unpack(f"<{len(rest) // 8}d", rest))
        return _release(criteria, facts, numbers)
    except (zlib.error, struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise UnreadableState(f"the state is damaged ({error})") from error


def digest(criteria: Criteria) -> bytes:
    """Eight bytes that differ when any guardrail, tolerance or error rate does."""
    return hashlib.blake2b(repr(astuple(criteria)).encode(), digest_size=8).digest()


def _numbers(rail: Guardrail, evidence: Evidence) -> list[float]:
    numbers = [*evidence.split_harm, *evidence.ratio_health]
    if rail.unit is not Unit.USERS:
        numbers += evidence.ratio_harm
        numbers += [*evidence.points_harm, *evidence.points_health]
        numbers += [*astuple(evidence.base), *astuple(evidence.difference)]
    if rail.unit is Unit.STRATA:
        numbers += [*evidence.signs_harm, *evidence.signs_health, evidence.scale]
    return numbers


def _facts(release: Release) -> dict[str, Any]:
    watermark, strata, doubt = release.watermark, release.strata, release.doubt
    return {
        "s": [release.spending.elapsed, release.spending.requests],
        "a": [release.started, release.latest, release.requests],
        "n": [*release.seen, *release.alone],
        "f": [doubt.faults, list(doubt.awaiting), doubt.newest, doubt.rows],
        "m": release.missing,
        "p": [release.points, release.measured, release.weight],
        "o": [release.outage, release.several_outages, release.rolled_back],
        "P": release.pods,
        "c": [[*e.stable, *e.candidate] for e in release.evidence],
        "w": [watermark.closed, watermark.heard, [_row(row) for row in watermark.waiting], list(watermark.tainted)],
        "O": {
            router: [
                gathering.version,
                gathering.weight,
                gathering.requests,
                None if gathering.outages is None else sorted(gathering.outages),
                [astuple(tally) for tally in gathering.tallies],
                [astuple(tally) for tally in gathering.users] if any(any(astuple(u)) for u in gathering.users) else 0,
            ]
            for router, gathering in strata.open.items()
        },
        "h": strata.shares,
    }


def _row(row: Row) -> list[Any]:
    users = None if row.users is None else [row.users.new, row.users.events]
    return [row.t, row.router, row.version, row.arm == Arm.STABLE, row.weight, row.requests, row.events, users,
            row.pod, row.outage]  # fmt: skip


def _row_of(stored: list[Any]) -> Row:
    t, router, version, stable, weight, requests, events, users, pod, outage = stored
    return Row(
        t,
        router,
        version,
        Arm.STABLE if stable else Arm.CANDIDATE,
        weight,
        requests,
        tuple(events),
        None if users is None else Users(users[0], tuple(users[1])),
        pod,
        outage,
    )


def _release(criteria: Criteria, facts: dict[str, Any], numbers: list[float]) -> Release:
    release = Release(criteria)
    release.spending = Spending(*facts["s"])
    release.started, release.latest, release.requests = facts["a"]
    release.seen, release.alone = (facts["n"][0], facts["n"][1]), (facts["n"][2], facts["n"][3])
    faults, awaiting, newest, rows = facts["f"]
    release.doubt = Doubt(faults, dict.fromkeys((second, fault, row) for second, fault, row in awaiting), newest, rows)
    release.missing, release.pods = facts["m"], facts["P"]
    release.points, measured, release.weight = facts["p"]
    release.measured = (measured[0], measured[1])
    release.outage, release.several_outages, release.rolled_back = facts["o"]
    watermark = release.watermark
    watermark.closed, watermark.heard = facts["w"][0], facts["w"][1]
    watermark.waiting = {_row_of(stored): None for stored in facts["w"][2]}
    watermark.tainted = dict.fromkeys((second, router) for second, router in facts["w"][3])
    for router, (version, weight, requests, outages, tallies, users) in facts["O"].items():
        release.strata.open[router] = Open(
            version,
            weight,
            requests,
            None if outages is None else frozenset(outages),
            [Tally(*tally) for tally in tallies],
            [Tally(*tally) for tally in users] if users else [Tally() for _ in criteria.guardrails],
        )
    release.strata.shares = {router: (share[0], share[1]) for router, share in facts["h"].items()}
    for rail, evidence, counts in zip(criteria.guardrails, release.evidence, facts["c"], strict=True):
        evidence.stable, evidence.candidate = (counts[0], counts[1]), (counts[2], counts[3])
        _restore(rail, evidence, numbers)
    if numbers:
        raise ValueError("it holds more numbers than it should")
    return release


def _restore(rail: Guardrail, evidence: Evidence, numbers: list[float]) -> None:
    """Take this guardrail's numbers from the front of `numbers`."""

    def take(count: int) -> list[float]:
        if len(numbers) < count:
            raise ValueError("it holds fewer numbers than it should")
        taken = numbers[:count]
        del numbers[:count]
        return taken

    evidence.split_harm = take(len(evidence.split_harm))
    evidence.ratio_health = take(len(evidence.ratio_health))
    if rail.unit is not Unit.USERS:
        evidence.ratio_harm = take(len(evidence.ratio_harm))
        evidence.points_harm = take(len(evidence.points_harm))
        evidence.points_health = take(len(evidence.points_health))
        evidence.base = BaseRate(*take(4))
        evidence.difference = Difference(*take(3))
    if rail.unit is Unit.STRATA:
        evidence.signs_harm = take(len(evidence.signs_harm))
        evidence.signs_health = take(len(evidence.signs_health))
        (evidence.scale,) = take(1)
