"""A proof, or why there is none, as JSON; read strictly, since it comes from a package."""

import json
from dataclasses import asdict
from typing import Any

from penstock_serving import contract
from penstock_serving.compile.result import Compared, Proof, Unproven, Versions
from penstock_serving.model.errors import BadModelError

PROOF_FILE = "proof.json"
_MOST = 1 << 40
_LONGEST = 2000


def dump(result: Proof | Unproven) -> bytes:
    """The document `proof.json`: {"proven": {…}} or {"unproven": reason}."""
    document = {"unproven": result.reason[:_LONGEST]} if isinstance(result, Unproven) else {"proven": asdict(result)}
    return (json.dumps(document, allow_nan=False, indent=1) + "\n").encode()


def load(content: bytes) -> Proof | Unproven:
    """Read `proof.json`. Raises `BadModelError` for anything but what `dump` writes."""
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _bad("the document", "JSON") from error
    if isinstance(raw, dict) and set(raw) == {"unproven"}:
        return Unproven(_text(raw["unproven"], "unproven"))
    proven = _object(_object(raw, "the document", {"proven"})["proven"], "proven", set(Proof.__slots__))
    return Proof(
        compared=tuple(_compared(item) for item in _list(proven["compared"], "compared")),
        rows=tuple(_count(item) for item in _list(proven["rows"], "rows")),
        refused=_whole(proven["refused"], "refused"),
        splits=_whole(proven["splits"], "splits"),
        splits_visited=_whole(proven["splits_visited"], "splits_visited"),
        rows_independent=_flag(proven["rows_independent"], "rows_independent"),
        estimator_rows_independent=_flag(proven["estimator_rows_independent"], "estimator_rows_independent"),
        versions=_versions(proven["versions"]),
    )


def _bad(where: str, wanted: str) -> BadModelError:
    return BadModelError(
        contract.REASON_NOT_A_MODEL, f"{PROOF_FILE} is damaged: {where} is not {wanted}; package the model again"
    )


def _object(value: object, where: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise _bad(where, f"an object of {', '.join(sorted(keys))}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _bad(where, "a list")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise _bad(where, f"a text of at most {_LONGEST} characters")
    return value


def _whole(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise _bad(where, "a whole number from 0")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _bad(where, "true or false")
    return value


def _count(value: object) -> tuple[str, int]:
    pair = _list(value, "rows")
    if len(pair) != 2:
        raise _bad("rows", "a list of kinds and counts")
    return _text(pair[0], "rows"), _whole(pair[1], "rows")


def _compared(value: object) -> Compared:
    raw = _object(value, "compared", set(Compared.__slots__))
    difference = raw["largest_difference"]
    if type(difference) not in {int, float} or not 0 <= difference < float("inf"):
        raise _bad("compared.largest_difference", "a number from 0")
    return Compared(
        _text(raw["method"], "compared.method"),
        float(difference),
        _text(raw["on"], "compared.on"),
        _whole(raw["ties"], "compared.ties"),
    )


def _versions(value: object) -> Versions:
    raw = _object(value, "versions", set(Versions.__slots__))
    return Versions(**{name: _text(text, f"versions.{name}") for name, text in raw.items()})
