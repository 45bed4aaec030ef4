"""A plan as JSON, read strictly: it comes from a package that nobody vouches for yet."""

import json
import re

from penstock_serving.compile.plan import Method, Plan, TextColumn
from penstock_serving.model.border import Border
from penstock_serving.model.signature import MAX_COLUMNS, OUTPUTS, Label

_BORDER = Border("the compiled model's metadata is damaged")
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
    raw = _BORDER.fields(_BORDER.parsed(content), "the content", {"columns", "text", "safe", "methods"})
    columns = _BORDER.whole(raw["columns"], "columns", MAX_COLUMNS)
    text = tuple(_text_column(item, columns) for item in _BORDER.items(raw["text"], "text"))
    if len({column.position for column in text}) != len(text):
        raise _BORDER.bad("text", "different positions")
    safe = raw["safe"]
    if safe is not None and (type(safe) not in {int, float} or not 0 <= safe <= 1e308):
        raise _BORDER.bad("safe", "null or a magnitude")
    methods = tuple(_method(item) for item in _BORDER.items(raw["methods"], "methods"))
    if not methods or len({method.name for method in methods}) != len(methods):
        raise _BORDER.bad("methods", "at least one, all different")
    return Plan(columns, text, None if safe is None else float(safe), methods)


def _text_column(value: object, columns: int) -> TextColumn:
    raw = _BORDER.fields(value, "text", {"position", "values"})
    values = _BORDER.items(raw["values"], "text.values")
    if any(item is not None and type(item) is not str for item in values) or len(set(values)) != len(values):
        raise _BORDER.bad("text.values", "different texts or null")
    return TextColumn(_BORDER.whole(raw["position"], "text.position", columns - 1), tuple(values))


def _method(value: object) -> Method:
    raw = _BORDER.fields(value, "methods", {"name", "dtype", "labels"})
    if raw["name"] not in OUTPUTS:
        raise _BORDER.bad("methods.name", f"one of {', '.join(sorted(OUTPUTS))}")
    if not isinstance(raw["dtype"], str) or not _DTYPE.fullmatch(raw["dtype"]):
        raise _BORDER.bad("methods.dtype", "a dtype that is served")
    labels: list[Label] = _BORDER.items(raw["labels"], "methods.labels")
    if len({type(label) for label in labels}) > 1 or any(
        type(label) not in {str, int, float, bool} for label in labels
    ):
        raise _BORDER.bad("methods.labels", "labels of one type")
    return Method(raw["name"], raw["dtype"], tuple(labels))
