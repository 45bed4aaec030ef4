"""Releases between two replays: the judge's state, the labels', and what was already said of each."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.cli import label_state
from penstock.cli.labels import LabelTrack
from penstock.judge.criteria import Criteria
from penstock.judge.labels.accuracy import AccuracyPlan
from penstock.judge.release import Release
from penstock.judge.state import UnreadableState, dump, resume

VERSION = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A release: its state, its labels', the facts of its first decisive verdict, lines printed, and faults told then."""

    release: Release
    labels: LabelTrack | None
    decisive: dict[str, Any] | None
    printed: int
    faults: int


def write(path: Path, releases: Mapping[str, Kept]) -> None:
    """Store them; a reader sees the old file or the whole new one.

    Raises:
        OSError: when the file cannot be written.
    """
    stored = {
        name: {
            "judge": base64.b64encode(dump(kept.release)).decode(),
            "labels": None if kept.labels is None else label_state.plain(kept.labels),
            "decisive": kept.decisive,
            "told": [kept.printed, kept.faults],
        }
        for name, kept in releases.items()
    }
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps({"version": VERSION, "releases": stored}, indent=0) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read(path: Path, criteria: Criteria, plan: AccuracyPlan) -> dict[str, Kept]:
    """What `write` stored.

    Raises:
        UnreadableState: when it holds no such states, or those of releases with other criteria.
        OSError: when the file cannot be read.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["version"] != VERSION:
            raise UnreadableState(f"it has version {stored['version']!r}, this is version {VERSION}")
        return {name: _kept(told, criteria, plan) for name, told in stored["releases"].items()}
    except UnreadableState:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableState(f"it holds no states of the judge ({type(error).__name__}: {error})") from error


def _kept(told: Mapping[str, Any], criteria: Criteria, plan: AccuracyPlan) -> Kept:
    printed, faults = told["told"]
    labels = None if told["labels"] is None else label_state.typed(told["labels"], plan)
    return Kept(
        resume(criteria, base64.b64decode(told["judge"], validate=True)),
        labels,
        told["decisive"],
        int(printed),
        int(faults),
    )
