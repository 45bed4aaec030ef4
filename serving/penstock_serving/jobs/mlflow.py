"""Models as MLflow keeps them: a directory with a file `MLmodel`, of which the scikit-learn flavour is read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_serving import contract
from penstock_serving.jobs.table import Columns
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.digest import open_regular, safe_path
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import MODEL_FILE, SKOPS_FILE

MLMODEL = "MLmodel"
_LARGEST_BYTES = 1 << 20
_DATATYPES = {
    "boolean": Datatype.BOOL,
    "integer": Datatype.INT64,
    "long": Datatype.INT64,
    "float": Datatype.FP32,
    "double": Datatype.FP64,
    "string": Datatype.BYTES,
    "datetime": Datatype.BYTES,
}
_DTYPES = {"datetime": "datetime64[ns]"}
"""Of the DataFrame that the model was fitted on, where a column's datatype does not tell."""


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """The estimator's file as it goes into a package, the columns of the model's signature in order (empty when it has
    none) with what `dtypes` they have beyond that, and the example of its inputs (empty when there is none)."""

    file: str
    content: bytes
    columns: dict[str, Datatype]
    dtypes: dict[str, str]
    example: Columns


def read_mlflow(directory: Path) -> MlflowModel:
    """Read an MLflow model directory; nothing of it is executed.

    Raises `BadModelError`: no scikit-learn flavour, a signature of tensors or of types that cannot be served, a file
    that leaves the directory. Code and environments that the model brings along are not looked at.
    """
    import yaml

    try:
        document = yaml.safe_load(_read(directory, MLMODEL))
    except yaml.YAMLError as error:
        raise _unusable("MLmodel is no YAML") from error
    flavours = document.get("flavors") if isinstance(document, dict) else None
    flavour = flavours.get("sklearn") if isinstance(flavours, dict) else None
    if not isinstance(flavour, dict) or not isinstance(flavour.get("pickled_model"), str):
        raise _unusable("MLmodel has no flavour 'sklearn' with a pickled_model")
    name = safe_path(flavour["pickled_model"])
    file = SKOPS_FILE if flavour.get("serialization_format") == "skops" else MODEL_FILE
    types = _types(document.get("signature"))
    columns = _columns(types)
    dtypes = {name: _DTYPES[kind] for name, kind in types.items() if kind in _DTYPES}
    with open_regular(directory / name) as stream:
        content = stream.read()
    return MlflowModel(file, content, columns, dtypes, _example(directory, document, columns))


def _read(directory: Path, name: str) -> bytes:
    with open_regular(directory / name) as stream:
        content = stream.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise _unusable(f"{name} is larger than {_LARGEST_BYTES} bytes")
    return content


def _unusable(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"this MLflow model cannot be packaged: {why}")


def _types(signature: Any) -> dict[str, str]:
    """The signature's columns, and what MLflow calls their types; none where there is no signature."""
    if not isinstance(signature, dict) or not signature.get("inputs"):
        return {}
    try:
        return {item["name"]: str(item["type"]) for item in json.loads(signature["inputs"])}
    except (ValueError, TypeError, KeyError) as error:
        raise _unusable("its signature is not of named columns") from error


def _columns(types: dict[str, str]) -> dict[str, Datatype]:
    for name, kind in types.items():
        if kind not in _DATATYPES:
            raise _unusable(f"column {name!r} of its signature is none of {', '.join(_DATATYPES)}")
    return {name: _DATATYPES[kind] for name, kind in types.items()}


def _example(directory: Path, document: dict[str, Any], columns: dict[str, Datatype]) -> Columns:
    """The rows of `input_example.json` in the split form that MLflow writes."""
    import numpy as np

    saved = document.get("saved_input_example_info")
    if not isinstance(saved, dict) or saved.get("type") != "dataframe" or not columns:
        return {}
    try:
        example = json.loads(_read(directory, safe_path(saved["artifact_path"])))
        rows, names = example["data"], example["columns"]
        found: Columns = {}
        for position, name in enumerate(names):
            values = [row[position] for row in rows]
            datatype = columns[name]
            if datatype is Datatype.BYTES:
                cells = np.empty(len(values), dtype=object)
                cells[:] = values
                found[name] = cells
            else:
                kind = {Datatype.BOOL: np.bool_, Datatype.INT64: np.int64, Datatype.FP32: np.float32}
                numbers = [np.nan if value is None else value for value in values]
                found[name] = np.array(numbers, dtype=kind.get(datatype, np.float64))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise _unusable(f"its input example is not rows of its signature ({type(error).__name__})") from error
    return found
