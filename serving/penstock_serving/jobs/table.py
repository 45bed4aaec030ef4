"""Rows in a file as named columns: comma-separated values with a line of names, and the plain form for a pipe."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock_serving import contract
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.frame import Matrix, column_datatype

Columns = dict[str, Matrix]
_TRUTHS = {"true": True, "false": False}
_DTYPES = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BYTES: np.dtype(object),
}


def read_csv(path: Path, wanted: Mapping[str, Datatype] | None = None) -> Columns:
    """The columns of a file of comma-separated values (UTF-8, the first line holds the names).

    A column of whole numbers is INT64, of numbers FP64, of `true` and `false` BOOL, of anything else text; an empty
    field is a missing value (a column of whole numbers is then FP64). `wanted` says otherwise by name.

    Raises `BadModelError` (Misconfigured) for a file that cannot be read, rows of another length, or fields that are
    not of the wanted datatype; lines and columns are named, never values.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.reader(lines, strict=True)
            names = next(rows, [])
            columns: list[list[str]] = [[] for _ in names]
            for row in rows:
                if len(row) != len(names):
                    raise _unusable(path, f"line {rows.line_num} has {len(row)} fields, the first line {len(names)}")
                for column, field in zip(columns, row, strict=True):
                    column.append(field)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, f"it cannot be read as comma-separated values ({type(error).__name__})") from error
    if not names or not columns[0] or len(set(names)) != len(names):
        raise _unusable(path, "it needs a first line of different names, and rows")
    declared = wanted or {}
    found = {}
    for name, fields in zip(names, columns, strict=True):
        try:
            found[name] = _values(fields, declared.get(name))
        except (ValueError, OverflowError) as error:
            raise _unusable(path, f"column {name!r} holds fields that are not {declared[name].value}") from error
    return found


def _unusable(path: Path, why: str) -> BadModelError:
    return BadModelError(contract.REASON_MISCONFIGURED, f"{path.name}: {why}")


def _values(fields: Sequence[str], wanted: Datatype | None) -> Matrix:
    match wanted or _guessed(fields):
        case Datatype.BOOL:
            if not all(field.lower() in _TRUTHS for field in fields):
                raise ValueError("not true or false")
            return np.array([_TRUTHS[field.lower()] for field in fields])
        case Datatype.INT64:
            return np.array([int(field) for field in fields], dtype=np.int64)
        case Datatype.BYTES:
            texts = np.empty(len(fields), dtype=object)
            texts[:] = [field or None for field in fields]
            return texts
        case number:
            return np.array([float(field) if field else np.nan for field in fields], dtype=_DTYPES[number])


def _guessed(fields: Sequence[str]) -> Datatype:
    present = [field for field in fields if field]
    if not present:
        return Datatype.FP64
    if len(present) == len(fields) and all(field.lower() in _TRUTHS for field in fields):
        return Datatype.BOOL
    try:
        if all(-(2**53) <= int(field) <= 2**53 for field in present):
            return Datatype.INT64 if len(present) == len(fields) else Datatype.FP64
    except ValueError:
        pass
    try:
        finite = np.isfinite([float(field) for field in present]).all()
    except ValueError:
        return Datatype.BYTES
    return Datatype.FP64 if finite else Datatype.BYTES


def dump(columns: Mapping[str, Any]) -> bytes:
    """Named columns as JSON, exactly: numbers by their shortest digits, a missing value as null."""
    document = []
    for name, values in columns.items():
        array = np.asarray(values)
        datatype = column_datatype(str(name), array)
        listed = [None if value is None or value != value else value for value in array.tolist()]
        document.append({"name": str(name), "datatype": datatype.value, "values": listed})
    return json.dumps(document, allow_nan=False).encode()


def load(content: bytes) -> Columns:
    """What `dump` wrote."""
    columns = {}
    for item in json.loads(content):
        datatype = Datatype(item["datatype"])
        if datatype is Datatype.BYTES:
            values = np.empty(len(item["values"]), dtype=object)
            values[:] = item["values"]
        else:
            filled = [np.nan if value is None else value for value in item["values"]]
            values = np.array(filled, dtype=_DTYPES[datatype])
        columns[item["name"]] = values
    return columns
