"""A plan as JSON, read strictly: it comes from a package that nobody vouches for yet."""

import json
import re
from typing import Any

from penstock_serving import contract
from penstock_serving.compile.plan import Method, Plan, TextColumn
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signature import MAX_COLUMNS, Label

_METHODS = frozenset({"predict", "predict_proba", "decision_function", "transform"})
_DTYPE = re.compile(r"[|<](?:b1|[iu][1248]|f[48]|U[1-9][0-9]{0,5}|O)")


def dump(plan: Plan) -> str:
    """The plan as one line of JSON."""
    document = {
        "columns": plan.columns,
        "text": [{"position": column.position, "values": list(column.values)} for column in plan.text],
        "safe": plan.safe,
        "methods": [
            {"name": method.name, "dtype": method.dtype, "labels": list(method.labels)} for method in plan.methods
        ],
    }
    return json.dumps(document, allow_nan=False)


def load(content: str) -> Plan:
    """Read a plan; raises `BadModelError` for anything but what `dump` writes."""
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _bad("the plan", "JSON") from error
    raw = _object(raw, "the plan", {"columns", "text", "safe", "methods"})
    columns = _whole(raw["columns"], "columns", MAX_COLUMNS)
    text = tuple(_text_column(item, columns) for item in _list(raw["text"], "text"))
    if len({column.position for column in text}) != len(text):
        raise _bad("text", "different positions")
    safe = raw["safe"]
    if safe is not None and (type(safe) not in {int, float} or not 0 <= safe <= 1e308):
        raise _bad("safe", "null or a magnitude")
    methods = tuple(_method(item) for item in _list(raw["methods"], "methods"))
    if not methods or len({method.name for method in methods}) != len(methods):
        raise _bad("methods", "at least one, all different")
    return Plan(columns, text, None if safe is None else float(safe), methods)


def _bad(where: str, wanted: str) -> BadModelError:
    return BadModelError(
        contract.REASON_NOT_A_MODEL,
        f"the compiled model's metadata is damaged: {where} is not {wanted}; package the model again",
    )


def _object(value: object, where: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise _bad(where, f"an object of {', '.join(sorted(keys))}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _bad(where, "a list")
    return value


def _whole(value: object, where: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _bad(where, f"a whole number up to {most}")
    return value


def _text_column(value: object, columns: int) -> TextColumn:
    raw = _object(value, "text", {"position", "values"})
    values = _list(raw["values"], "text.values")
    if any(item is not None and type(item) is not str for item in values) or len(set(values)) != len(values):
        raise _bad("text.values", "different texts or null")
    return TextColumn(_whole(raw["position"], "text.position", columns - 1), tuple(values))


def _method(value: object) -> Method:
    raw = _object(value, "methods", {"name", "dtype", "labels"})
    if raw["name"] not in _METHODS:
        raise _bad("methods.name", f"one of {', '.join(sorted(_METHODS))}")
    if not isinstance(raw["dtype"], str) or not _DTYPE.fullmatch(raw["dtype"]):
        raise _bad("methods.dtype", "a dtype that is served")
    labels: list[Label] = _list(raw["labels"], "methods.labels")
    if len({type(label) for label in labels}) > 1 or any(
        type(label) not in {str, int, float, bool} for label in labels
    ):
        raise _bad("methods.labels", "labels of one type")
    return Method(raw["name"], raw["dtype"], tuple(labels))
