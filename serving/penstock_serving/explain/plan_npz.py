"""`explain.npz`: the border where a file becomes a `Plan`, strictly."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penstock_serving.explain import npz
from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.plan import Forest, Linear, Plan, Precision, Sampled, Unit
from penstock_serving.explain.plan_checks import check
from penstock_serving.explain.stages import (
    Arithmetic,
    Branch,
    Branches,
    Category,
    Codebook,
    Encode,
    Impute,
    Operation,
    Rounding,
    Select,
    Stage,
)
from penstock_serving.model.frame import Matrix

FORMAT = "penstock.dev/explain/v1"
_NAN = {"float": "nan"}
_KEYS = frozenset({"format", "columns", "text", "outputs", "unit", "stages", "model"})
_MAX_DEPTH = 16


def dump(plan: Plan) -> bytes:
    """The file's content; raises `MalformedError` for a plan larger than can be read again."""
    writer = _Writer()
    document = {
        "format": FORMAT,
        "columns": plan.columns,
        "text": plan.text,
        "outputs": plan.outputs,
        "unit": plan.unit.value,
        "stages": [writer.stage(stage) for stage in plan.stages],
        "model": writer.model(plan.model),
    }
    return npz.write(json.dumps(document, allow_nan=False, ensure_ascii=False).encode(), writer.arrays)


def load(content: bytes) -> Plan:
    """Read `explain.npz`; raises `MalformedError` for anything that `dump` does not write."""
    document, arrays = npz.read(content)
    try:
        root = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise MalformedError("its document is not JSON text") from error
    reader = _Reader(arrays)
    fields = reader.fields(root, _KEYS)
    if fields["format"] != FORMAT:
        raise MalformedError(f"its format is not {FORMAT!r}")
    plan = Plan(
        columns=tuple(reader.text(item) for item in reader.items(fields["columns"])),
        text=tuple(reader.flag(item) for item in reader.items(fields["text"])),
        outputs=tuple(reader.text(item) for item in reader.items(fields["outputs"])),
        unit=Unit(reader.one_of(fields["unit"], [unit.value for unit in Unit])),
        stages=tuple(reader.stage(item, 0) for item in reader.items(fields["stages"])),
        model=reader.model(fields["model"]),
    )
    check(plan)
    return plan


class _Writer:
    """Turns a plan's parts into JSON, arrays aside."""

    def __init__(self) -> None:
        self.arrays: list[Matrix] = []

    def array(self, values: Matrix, dtype: str) -> int:
        self.arrays.append(np.asarray(values).astype(dtype))
        return len(self.arrays) - 1

    def stage(self, stage: Stage) -> dict[str, Any]:
        match stage:
            case Arithmetic():
                operand = self.array(stage.operand, "<f8")
                return {"stage": stage.operation.value, "operand": operand, "rounding": stage.rounding.value}
            case Select():
                return {"stage": "select", "positions": self.array(stage.positions, "<i4"), "width": stage.width}
            case Impute():
                return {
                    "stage": "impute",
                    "missing": _category(stage.missing),
                    "fill": [_category(value) for value in stage.fill],
                    "kept": self.array(stage.kept, "<i4"),
                    "indicated": self.array(stage.indicated, "<i4"),
                }
            case Encode():
                return {"stage": "encode", "books": [self.book(book) for book in stage.books]}
            case Branches():
                branches = [
                    {
                        "positions": self.array(branch.positions, "<i4"),
                        "stages": [self.stage(inner) for inner in branch.stages],
                    }
                    for branch in stage.branches
                ]
                return {"stage": "branches", "width": stage.width, "branches": branches}

    def book(self, book: Codebook) -> dict[str, Any]:
        return {
            "categories": [_category(value) for value in book.categories],
            "table": self.array(book.table, "<i4" if book.table.ndim == 1 else "<f8"),
            "group": book.group,
            "takes_unseen": book.takes_unseen,
        }

    def model(self, model: Linear | Forest | Sampled) -> dict[str, Any]:
        match model:
            case Linear():
                return {
                    "model": "linear",
                    "weights": self.array(model.weights, "<f8"),
                    "intercepts": self.array(model.intercepts, "<f8"),
                    "means": self.array(model.means, "<f8"),
                }
            case Forest():
                arrays = {name: self.array(getattr(model, name), dtype) for name, dtype in _FOREST}
                return {"model": "forest", "precision": model.precision.value, **arrays}
            case Sampled():
                rows = [[_category(value) for value in row] for row in model.background.tolist()]
                return {"model": "sampled", "background": rows, "output": model.output}


_FOREST = (
    ("roots", "<i4"),
    ("output", "<i4"),
    ("left", "<i4"),
    ("right", "<i4"),
    ("feature", "<i4"),
    ("threshold", "<f8"),
    ("missing_left", "|b1"),
    ("table", "<i4"),
    ("lefts", "|b1"),
    ("cover", "<f8"),
    ("values", "<f8"),
    ("base", "<f8"),
)
_TWO_DIMENSIONAL = frozenset({"lefts", "values"})


def _category(value: Category) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return _NAN if math.isnan(value) else {"float": "inf" if value > 0 else "-inf"}
    return value


class _Reader:
    """Reads JSON's values as what they must be; every method raises `MalformedError` for anything else."""

    def __init__(self, arrays: Sequence[Matrix]) -> None:
        self._arrays = arrays

    def fields(self, value: object, keys: frozenset[str]) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != keys:
            raise MalformedError(f"an object does not have exactly the fields {', '.join(sorted(keys))}")
        return value

    def items(self, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise MalformedError("a list is something else")
        return value

    def text(self, value: object) -> str:
        if not isinstance(value, str):
            raise MalformedError("a text is something else")
        return value

    def flag(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise MalformedError("a truth value is something else")
        return value

    def count(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= npz.MAX_BYTES:
            raise MalformedError("a count is something else")
        return value

    def one_of(self, value: object, allowed: Sequence[str]) -> str:
        if value not in allowed:
            raise MalformedError(f"a value is none of {', '.join(allowed)}")
        return str(value)

    def category(self, value: object) -> Category:
        if isinstance(value, dict):
            return float(self.one_of(self.fields(value, frozenset({"float"}))["float"], ["nan", "inf", "-inf"]))
        if value is None or isinstance(value, str | int | float):
            return value
        raise MalformedError("a category is neither text, number nor null")

    def array(self, value: object, dtype: str, dimensions: int) -> Matrix:
        number = self.count(value)
        if number >= len(self._arrays):
            raise MalformedError("an array is named that is not there")
        array = self._arrays[number]
        if array.dtype.str != dtype or array.ndim != dimensions:
            raise MalformedError(f"array a{number} has another shape or type")
        return array

    def stage(self, value: object, depth: int) -> Stage:
        if not isinstance(value, dict) or depth > _MAX_DEPTH:
            raise MalformedError("a stage is something else, or nested too deeply")
        kind = value.get("stage")
        if isinstance(kind, str) and kind in set(Operation):
            fields = self.fields(value, frozenset({"stage", "operand", "rounding"}))
            rounding = Rounding(self.one_of(fields["rounding"], [each.value for each in Rounding]))
            return Arithmetic(Operation(kind), self.array(fields["operand"], "<f8", 1), rounding)
        readers: dict[object, Callable[[dict[str, Any], int], Stage]] = {
            "select": self._select,
            "impute": self._impute,
            "encode": self._encode,
            "branches": self._branches,
        }
        reader = readers.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise MalformedError("a stage is of an unknown kind")
        return reader(value, depth)

    def _select(self, value: dict[str, Any], _depth: int) -> Stage:
        fields = self.fields(value, frozenset({"stage", "positions", "width"}))
        return Select(self.array(fields["positions"], "<i4", 1), self.count(fields["width"]))

    def _impute(self, value: dict[str, Any], _depth: int) -> Stage:
        fields = self.fields(value, frozenset({"stage", "missing", "fill", "kept", "indicated"}))
        return Impute(
            missing=self.category(fields["missing"]),
            fill=tuple(self.category(item) for item in self.items(fields["fill"])),
            kept=self.array(fields["kept"], "<i4", 1),
            indicated=self.array(fields["indicated"], "<i4", 1),
        )

    def _encode(self, value: dict[str, Any], _depth: int) -> Stage:
        fields = self.fields(value, frozenset({"stage", "books"}))
        return Encode(tuple(self._book(item) for item in self.items(fields["books"])))

    def _book(self, value: object) -> Codebook:
        fields = self.fields(value, frozenset({"categories", "table", "group", "takes_unseen"}))
        group = self.count(fields["group"])
        return Codebook(
            categories=tuple(self.category(item) for item in self.items(fields["categories"])),
            table=self.array(fields["table"], "<i4", 1) if group else self.array(fields["table"], "<f8", 2),
            group=group,
            takes_unseen=self.flag(fields["takes_unseen"]),
        )

    def _branches(self, value: dict[str, Any], depth: int) -> Stage:
        fields = self.fields(value, frozenset({"stage", "width", "branches"}))
        branches = []
        for item in self.items(fields["branches"]):
            branch = self.fields(item, frozenset({"positions", "stages"}))
            stages = tuple(self.stage(inner, depth + 1) for inner in self.items(branch["stages"]))
            branches.append(Branch(self.array(branch["positions"], "<i4", 1), stages))
        return Branches(tuple(branches), self.count(fields["width"]))

    def model(self, value: object) -> Linear | Forest | Sampled:
        kind = value.get("model") if isinstance(value, dict) else None
        if kind == "linear":
            fields = self.fields(value, frozenset({"model", "weights", "intercepts", "means"}))
            return Linear(
                self.array(fields["weights"], "<f8", 2),
                self.array(fields["intercepts"], "<f8", 1),
                self.array(fields["means"], "<f8", 1),
            )
        if kind == "forest":
            fields = self.fields(value, frozenset({"model", "precision", *(name for name, _ in _FOREST)}))
            precision = Precision(self.one_of(fields["precision"], [each.value for each in Precision]))
            arrays = {
                name: self.array(fields[name], dtype, 2 if name in _TWO_DIMENSIONAL else 1) for name, dtype in _FOREST
            }
            return Forest(precision=precision, **arrays)
        fields = self.fields(value, frozenset({"model", "background", "output"}))
        return Sampled(self._background(fields), self.text(fields["output"]))

    def _background(self, fields: dict[str, Any]) -> Matrix:
        self.one_of(fields["model"], ["sampled"])
        rows = [[self.category(item) for item in self.items(row)] for row in self.items(fields["background"])]
        if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
            raise MalformedError("the background is not a matrix")
        cells = np.empty((len(rows), len(rows[0])), dtype=object)
        for number, row in enumerate(rows):
            cells[number] = row
        return cells
