"""A proof, or why there is none, as JSON; read strictly, since it comes from a package."""

import json
from dataclasses import asdict
from typing import Any

from penstock_serving.compile.result import Compared, Proof, Unproven, Versions
from penstock_serving.model.border import Border
from penstock_serving.model.files import PROOF_FILE

_BORDER = Border(f"{PROOF_FILE} is damaged")
_MOST = 1 << 40
_LONGEST = 2000


def dump(result: Proof | Unproven) -> bytes:
    """The document `proof.json`: {"proven": {…}} or {"unproven": reason}."""
    return (json.dumps(document(result), allow_nan=False, indent=1) + "\n").encode()


def document(result: Proof | Unproven) -> dict[str, Any]:
    """What `dump` writes, as plain data."""
    return {"unproven": result.reason[:_LONGEST]} if isinstance(result, Unproven) else {"proven": asdict(result)}


def load(content: bytes) -> Proof | Unproven:
    """Read `proof.json`. Raises `BadModelError` for anything but what `dump` writes."""
    return read(_BORDER.parsed(content))


def read(raw: object) -> Proof | Unproven:
    """Read what `document` gives. Raises `BadModelError` for anything else."""
    if isinstance(raw, dict) and set(raw) == {"unproven"}:
        return Unproven(_BORDER.text(raw["unproven"], "unproven", _LONGEST))
    proven = _BORDER.fields(_BORDER.fields(raw, "the content", {"proven"})["proven"], "proven", set(Proof.__slots__))
    return Proof(
        compared=tuple(_compared(item) for item in _BORDER.items(proven["compared"], "compared")),
        rows=tuple(_count(item) for item in _BORDER.items(proven["rows"], "rows")),
        refused=_BORDER.whole(proven["refused"], "refused", _MOST),
        splits=_BORDER.whole(proven["splits"], "splits", _MOST),
        splits_visited=_BORDER.whole(proven["splits_visited"], "splits_visited", _MOST),
        rows_independent=_BORDER.flag(proven["rows_independent"], "rows_independent"),
        estimator_rows_independent=_BORDER.flag(proven["estimator_rows_independent"], "estimator_rows_independent"),
        versions=read_versions(proven["versions"]),
    )


def _count(value: object) -> tuple[str, int]:
    pair = _BORDER.items(value, "rows")
    if len(pair) != 2:
        raise _BORDER.bad("rows", "a list of kinds and counts")
    return _BORDER.text(pair[0], "rows", _LONGEST), _BORDER.whole(pair[1], "rows", _MOST)


def _compared(value: object) -> Compared:
    raw = _BORDER.fields(value, "compared", set(Compared.__slots__))
    difference = raw["largest_difference"]
    if type(difference) not in {int, float} or not 0 <= difference < float("inf"):
        raise _BORDER.bad("compared.largest_difference", "a number from 0")
    return Compared(
        _BORDER.text(raw["method"], "compared.method", _LONGEST),
        float(difference),
        _BORDER.text(raw["on"], "compared.on", _LONGEST),
        _BORDER.whole(raw["ties"], "compared.ties", _MOST),
    )


def read_versions(value: object) -> Versions:
    """The versions of a proof. Raises `BadModelError`."""
    raw = _BORDER.fields(value, "versions", set(Versions.__slots__))
    return Versions(**{name: _BORDER.text(text, f"versions.{name}", _LONGEST) for name, text in raw.items()})
