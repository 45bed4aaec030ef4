"""What the sandbox is asked to package, as plain data on both sides of its pipe."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from penstock_serving.jobs import table
from penstock_serving.jobs.contents import Reference
from penstock_serving.jobs.table import Columns
from penstock_serving.model import card as cards
from penstock_serving.model.card import Card

ARTIFACT = "artifact"


class Clock(StrEnum):
    """Whether calls are timed."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Order:
    """A model's file, as which file of a package it goes in, rows to read it with, and what is known of it.

    `labels` are of the frame's rows (empty: none, so no metrics); `dtypes` are declared for the DataFrame that the model
    was fitted on; `trusted` types are for skops; `clock` says whether a call is timed for the card (without it the same
    order gives the same package).
    """

    artifact: bytes
    file: str
    frame: Columns
    golden: Columns = field(default_factory=dict)
    labels: Columns = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    clock: Clock = Clock.OFF
    card: Card = cards.EMPTY

    @property
    def reference(self) -> Reference:
        """The rows as `contents` takes them."""
        return Reference(self.frame, self.golden or None, self.bounds, self.dtypes or None)


def parts(order: Order) -> dict[str, bytes]:
    """The order as named bytes."""
    request = {
        "file": order.file,
        "bounds": order.bounds,
        "dtypes": order.dtypes,
        "trusted": order.trusted,
        "clock": order.clock,
    }
    return {
        ARTIFACT: order.artifact,
        "request": json.dumps(request).encode(),
        "frame": table.dump(order.frame),
        "golden": table.dump(order.golden),
        "labels": table.dump(order.labels),
        "card": cards.dump(order.card),
    }


def order(given: dict[str, bytes]) -> Order:
    """What `parts` wrote."""
    request = json.loads(given["request"])
    return Order(
        artifact=given[ARTIFACT],
        file=request["file"],
        frame=table.load(given["frame"]),
        golden=table.load(given["golden"]),
        labels=table.load(given["labels"]),
        bounds={name: (low, high) for name, (low, high) in request["bounds"].items()},
        dtypes=request["dtypes"],
        trusted=tuple(request["trusted"]),
        clock=Clock(request["clock"]),
        card=cards.load(given["card"]),
    )
