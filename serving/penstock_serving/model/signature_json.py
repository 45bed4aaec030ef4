"""`signature.json`: the border where a package's text becomes a `Signature`, strictly."""

import json
import math
from typing import Any

from penstock_serving import contract
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.signature import (
    MAX_CATEGORIES,
    MAX_COLUMNS,
    MAX_NAME,
    Column,
    Label,
    Output,
    Signature,
    Versions,
)

FORMAT = "penstock.dev/model/v1"


def check_name(name: object, where: str) -> str:
    """Return a usable column or output name: 1 to 128 printable characters; else raise `BadModelError`."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise _bad(where, f"a name of 1 to {MAX_NAME} printable characters")
    return name


def dump(signature: Signature) -> bytes:
    """The signature as the text of `signature.json`."""
    document = {
        "format": FORMAT,
        "columns": [
            {
                "name": column.name,
                "datatype": column.datatype.value,
                "takes_missing": column.takes_missing,
                "takes_unseen": column.takes_unseen,
                "edges": column.edges,
                "categories": column.categories,
            }
            for column in signature.columns
        ],
        "outputs": [
            {"name": output.name, "datatype": output.datatype.value, "width": output.width}
            for output in signature.outputs
        ],
        "classes": signature.classes,
        "prediction_edges": signature.prediction_edges,
        "versions": {
            "python": signature.versions.python,
            "scikit_learn": signature.versions.scikit_learn,
            "numpy": signature.versions.numpy,
            "joblib": signature.versions.joblib,
        },
    }
    return (json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def load(content: bytes) -> Signature:
    """Read `signature.json`; raises `BadModelError` (NotAModel) naming the first field that is wrong."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _bad("signature.json", "JSON text") from error
    root = _object(
        document, "signature.json", {"format", "columns", "outputs", "classes", "prediction_edges", "versions"}
    )
    if root["format"] != FORMAT:
        raise _bad("format", repr(FORMAT))
    columns = tuple(_column(item, f"columns[{n}]") for n, item in enumerate(_list(root["columns"], "columns")))
    if not 0 < len(columns) <= MAX_COLUMNS or len({column.name for column in columns}) != len(columns):
        raise _bad("columns", f"1 to {MAX_COLUMNS} columns with different names")
    outputs = tuple(_output(item, f"outputs[{n}]") for n, item in enumerate(_list(root["outputs"], "outputs")))
    if not outputs or outputs[0].name != "predict" or len({output.name for output in outputs}) != len(outputs):
        raise _bad("outputs", "outputs with different names, the first called 'predict'")
    versions = _object(root["versions"], "versions", {"python", "scikit_learn", "numpy", "joblib"})
    return Signature(
        columns=columns,
        outputs=outputs,
        classes=tuple(_label(item, "classes") for item in _list(root["classes"], "classes")),
        prediction_edges=_edges(root["prediction_edges"], "prediction_edges"),
        versions=Versions(**{key: _text(value, f"versions.{key}") for key, value in versions.items()}),
    )


def _bad(where: str, expected: str) -> BadModelError:
    return BadModelError(
        contract.REASON_NOT_A_MODEL, f"signature.json: {where} is not {expected}; package the model again"
    )


def _object(value: object, where: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise _bad(where, f"an object with exactly {', '.join(sorted(keys))}")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise _bad(where, "a list")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _bad(where, "text")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _bad(where, "true or false")
    return value


def _label(value: object, where: str) -> Label:
    if not isinstance(value, str | int | float):
        raise _bad(where, "a list of texts, numbers or booleans")
    return value


def _datatype(value: object, where: str) -> Datatype:
    known = {Datatype.BOOL, Datatype.INT64, Datatype.FP32, Datatype.FP64, Datatype.BYTES}
    if value not in known:
        raise _bad(where, f"one of {', '.join(sorted(known))}")
    return Datatype(str(value))


def _edges(value: object, where: str) -> tuple[float, ...]:
    edges = []
    for item in _list(value, where):
        if isinstance(item, bool) or not isinstance(item, int | float) or not math.isfinite(item):
            raise _bad(where, "a list of finite numbers")
        edges.append(float(item))
    if edges != sorted(set(edges)):
        raise _bad(where, "ascending")
    return tuple(edges)


def _column(value: object, where: str) -> Column:
    raw = _object(value, where, {"name", "datatype", "takes_missing", "takes_unseen", "edges", "categories"})
    categories = tuple(_text(item, f"{where}.categories") for item in _list(raw["categories"], f"{where}.categories"))
    if len(categories) > MAX_CATEGORIES or len(set(categories)) != len(categories):
        raise _bad(f"{where}.categories", f"at most {MAX_CATEGORIES} different texts")
    return Column(
        name=check_name(raw["name"], f"{where}.name"),
        datatype=_datatype(raw["datatype"], f"{where}.datatype"),
        takes_missing=_flag(raw["takes_missing"], f"{where}.takes_missing"),
        takes_unseen=_flag(raw["takes_unseen"], f"{where}.takes_unseen"),
        edges=_edges(raw["edges"], f"{where}.edges"),
        categories=categories,
    )


def _output(value: object, where: str) -> Output:
    raw = _object(value, where, {"name", "datatype", "width"})
    width = raw["width"]
    if isinstance(width, bool) or not isinstance(width, int) or not 0 <= width <= 1_000_000:
        raise _bad(f"{where}.width", "a whole number from 0")
    return Output(check_name(raw["name"], f"{where}.name"), _datatype(raw["datatype"], f"{where}.datatype"), width)
