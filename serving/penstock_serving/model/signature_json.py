"""`signature.json`: the border where a package's text becomes a `Signature`, strictly."""

from penstock_serving.model.border import Border, written
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.files import SIGNATURE_FILE
from penstock_serving.model.series import MAX_LEVELS, Asked, Missing, Series, is_dtype
from penstock_serving.model.signature import (
    MAX_CATEGORIES,
    MAX_COLUMNS,
    MAX_NAME,
    MAX_WIDTH,
    OUTPUTS,
    Column,
    Label,
    Output,
    Signature,
    Versions,
)

FORMAT = "penstock.dev/model/v1"
_BORDER = Border(SIGNATURE_FILE)
_OPTIONAL = frozenset({"asked"})


def check_name(name: object, where: str) -> str:
    """Return a usable column or output name: 1 to 128 printable characters; else raise `BadModelError`."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise _BORDER.bad(where, f"a name of 1 to {MAX_NAME} printable characters")
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
            | ({} if column.bounds is None else {"bounds": column.bounds})
            | ({} if column.series is None else {"series": _described(column.series)})
            for column in signature.columns
        ],
        "outputs": [
            {"name": output.name, "datatype": output.datatype.value, "width": output.width}
            for output in signature.outputs
        ],
        "classes": signature.classes,
        "prediction_edges": signature.prediction_edges,
        "asked": signature.asked.value,
        "versions": {
            "python": signature.versions.python,
            "scikit_learn": signature.versions.scikit_learn,
            "numpy": signature.versions.numpy,
            "joblib": signature.versions.joblib,
        },
    }
    return written(document)


def load(content: bytes) -> Signature:
    """Read `signature.json`; raises `BadModelError` (NotAModel) naming the first field that is wrong."""
    root = _BORDER.document(
        content, FORMAT, {"columns", "outputs", "classes", "prediction_edges", "versions"}, _OPTIONAL
    )
    columns = tuple(_column(item, f"columns[{n}]") for n, item in enumerate(_BORDER.items(root["columns"], "columns")))
    if not 0 < len(columns) <= MAX_COLUMNS or len({column.name for column in columns}) != len(columns):
        raise _BORDER.bad("columns", f"1 to {MAX_COLUMNS} columns with different names")
    asked = root.get("asked", Asked.MATRIX)
    if asked not in list(Asked):
        raise _BORDER.bad("asked", f"one of {', '.join(Asked)}")
    if {column.series is None for column in columns} != {asked == Asked.MATRIX}:
        raise _BORDER.bad("columns", "all of a DataFrame, or where it is asked by a matrix none")
    outputs = tuple(_output(item, f"outputs[{n}]") for n, item in enumerate(_BORDER.items(root["outputs"], "outputs")))
    named = [output.name for output in outputs]
    if not named or named != [name for name in OUTPUTS if name in named]:
        raise _BORDER.bad("outputs", f"one or more of {', '.join(OUTPUTS)}, in this order")
    versions = _BORDER.fields(root["versions"], "versions", {"python", "scikit_learn", "numpy", "joblib"})
    return Signature(
        columns=columns,
        outputs=outputs,
        classes=tuple(_label(item, "classes") for item in _BORDER.items(root["classes"], "classes")),
        prediction_edges=_edges(root["prediction_edges"], "prediction_edges"),
        versions=Versions(**{key: _BORDER.text(value, f"versions.{key}") for key, value in versions.items()}),
        asked=Asked(asked),
    )


def _described(series: Series) -> dict[str, object]:
    return {
        "dtype": series.dtype,
        "levels": series.levels,
        "ordered": series.ordered,
        "missing": series.missing.value,
    }


def _label(value: object, where: str) -> Label:
    if not isinstance(value, str | int | float) or value != value:
        raise _BORDER.bad(where, "a list of texts, numbers or booleans")
    return value


def _datatype(value: object, where: str) -> Datatype:
    known = {Datatype.BOOL, Datatype.INT64, Datatype.FP32, Datatype.FP64, Datatype.BYTES}
    if not isinstance(value, str) or value not in known:
        raise _BORDER.bad(where, f"one of {', '.join(sorted(known))}")
    return Datatype(value)


def _edges(value: object, where: str) -> tuple[float, ...]:
    edges = [_BORDER.number(item, where) for item in _BORDER.items(value, where)]
    if edges != sorted(set(edges)):
        raise _BORDER.bad(where, "ascending")
    return tuple(edges)


def _bounds(value: object, datatype: Datatype, where: str) -> tuple[float, float] | None:
    if value is None:
        return None
    bounds = _edges(value, where)
    if len(bounds) != 2 or datatype in {Datatype.BYTES, Datatype.BOOL}:
        raise _BORDER.bad(where, "the least and the greatest number of a numeric column")
    return bounds[0], bounds[1]


def _column(value: object, where: str) -> Column:
    raw = _BORDER.fields(
        value,
        where,
        {"name", "datatype", "takes_missing", "takes_unseen", "edges", "categories"},
        frozenset({"bounds", "series"}),
    )
    categories = tuple(
        _BORDER.text(item, f"{where}.categories") for item in _BORDER.items(raw["categories"], f"{where}.categories")
    )
    if len(categories) > MAX_CATEGORIES or len(set(categories)) != len(categories):
        raise _BORDER.bad(f"{where}.categories", f"at most {MAX_CATEGORIES} different texts")
    datatype = _datatype(raw["datatype"], f"{where}.datatype")
    return Column(
        name=check_name(raw["name"], f"{where}.name"),
        datatype=datatype,
        takes_missing=_BORDER.flag(raw["takes_missing"], f"{where}.takes_missing"),
        takes_unseen=_BORDER.flag(raw["takes_unseen"], f"{where}.takes_unseen"),
        edges=_edges(raw["edges"], f"{where}.edges"),
        categories=categories,
        bounds=_bounds(raw.get("bounds"), datatype, f"{where}.bounds"),
        series=_series(raw.get("series"), datatype, f"{where}.series"),
    )


def _series(value: object, datatype: Datatype, where: str) -> Series | None:
    if value is None:
        return None
    raw = _BORDER.fields(value, where, {"dtype", "levels", "ordered", "missing"})
    levels = tuple(_BORDER.text(item, f"{where}.levels") for item in _BORDER.items(raw["levels"], f"{where}.levels"))
    if len(levels) > MAX_LEVELS or len(set(levels)) != len(levels):
        raise _BORDER.bad(f"{where}.levels", f"at most {MAX_LEVELS} different texts")
    dtype, missing = _BORDER.text(raw["dtype"], f"{where}.dtype"), raw["missing"]
    if not is_dtype(dtype) or Series(dtype).datatype is not datatype:
        raise _BORDER.bad(f"{where}.dtype", f"the dtype of a column of {datatype.value}")
    if missing not in list(Missing):
        raise _BORDER.bad(f"{where}.missing", f"one of {', '.join(Missing)}")
    return Series(dtype, levels, _BORDER.flag(raw["ordered"], f"{where}.ordered"), Missing(missing))


def _output(value: object, where: str) -> Output:
    raw = _BORDER.fields(value, where, {"name", "datatype", "width"})
    width = _BORDER.whole(raw["width"], f"{where}.width")
    if width > MAX_WIDTH:
        raise _BORDER.bad(f"{where}.width", f"at most {MAX_WIDTH}")
    return Output(check_name(raw["name"], f"{where}.name"), _datatype(raw["datatype"], f"{where}.datatype"), width)
