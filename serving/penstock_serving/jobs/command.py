"""`penstock package`: from a model's file and rows to a package. Imports little until it runs."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from penstock_serving import contract
from penstock_serving.model.errors import BadModelError, ModelError

if TYPE_CHECKING:
    from penstock_serving.jobs.order import Order
    from penstock_serving.jobs.table import Columns
    from penstock_serving.model.card import Card
    from penstock_serving.model.datatype import Datatype
    from penstock_serving.model.serving import Serving

DESCRIPTION = """Package a fitted scikit-learn model for serving: a .joblib, .pkl or .pickle file, a .skops file, an .onnx
graph, or an MLflow model directory. A pickle runs the code that it holds when it is opened: giving one here means that
you trust it, as your own. Every file is opened in a process without network, credentials, programs or writing, but a
model that lies about its answers is not found out by that."""


_DTYPE = """of the DataFrame that the model was fitted on, where it is not what pandas makes of such a column: category,
datetime64[us], int32, …; repeatable"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="the model's file, or an MLflow model directory")
    add("--out", metavar="DIR", type=Path, required=True, help="the package's directory, absent or empty")
    add("--frame", metavar="CSV", type=Path, help="rows that the model was made with, a column for each input")
    add("--golden", metavar="CSV", type=Path, help="rows to keep in the package and ask before it serves (default: 5)")
    add("--label", metavar="COLUMN", help="the frame's column that holds the right answers: for metrics, not an input")
    add("--range", metavar="COLUMN=LOW:HIGH", action="append", default=[], help="refuse numbers outside; repeatable")
    add("--dtype", metavar="COLUMN=DTYPE", action="append", default=[], help=_DTYPE)
    add("--trust", metavar="TYPE", action="append", default=[], help="a type that a skops file may hold; repeatable")
    add("--modules", metavar="DIR", action="append", default=[], help="a folder of modules that the model needs")
    add("--data", metavar="PATH", type=Path, help="the training data, file or directory: its digest is recorded")
    add("--data-version", metavar="TEXT", default="", help="what the training data are called")
    add("--owner", metavar="TEXT", default="", help="who answers for the model")
    add("--purpose", metavar="TEXT", default="", help="what it decides, and for whom")
    add("--cost-of-errors", metavar="TEXT", default="", help="what its mistakes cost")
    add("--training-seconds", metavar="N", type=float, help="how long the training took")
    add("--training-memory", metavar="BYTES", type=int, help="the most memory that it held")
    add("--seed", metavar="N", type=int, action="append", default=[], help="a seed that it started from; repeatable")
    add("--reproducible", action="store_true", help="time nothing, so that the same inputs give the same digest")


def run(options: argparse.Namespace) -> int:
    """Package, and say what came of it; return the exit code."""
    from penstock_serving.jobs.order import parts
    from penstock_serving.jobs.package import require_new, write
    from penstock_serving.model import serving as serving_json
    from penstock_serving.model.files import SERVING_FILE
    from penstock_serving.sandbox.run import run as confined

    try:
        target = require_new(options.out)
        wanted = _order(options)
        paths = [str(Path(folder).resolve()) for folder in options.modules]
        made = confined("penstock_serving.jobs.confined", parts(wanted), paths=paths)
        digest = write(target, {wanted.file: wanted.artifact, **_expected(made)})
        _tell(target, digest, serving_json.load(made[SERVING_FILE]))
    except ModelError as error:
        print(f"penstock package: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def _expected(made: dict[str, bytes]) -> dict[str, bytes]:
    """The files that the sandbox may give, by name: a hostile artifact could give any."""
    from penstock_serving.jobs.contents import MADE_FILES

    return {name: content for name, content in made.items() if name in MADE_FILES}


def _tell(target: Path, digest: str, serving: "Serving") -> None:
    served = "its proved compiled form" if serving.compiled else f"{serving.estimator}: {serving.not_compiled}"
    print(f"{target}  {digest}")
    print(f"serves by   {served}")
    print(f"batches     {serving.rows_dependent or 'rows of several requests may be computed together'}")
    print(f"explains    {serving.not_explained or 'yes'}")
    print(f"try it      penstock serve {target}")


def _order(options: argparse.Namespace) -> "Order":
    from penstock_serving.jobs import table
    from penstock_serving.jobs.columns import datatype_of
    from penstock_serving.jobs.order import Clock, Order

    file, artifact, declared, dtypes, example = _artifact(options.model)
    dtypes |= dict(_dtype(text) for text in options.dtype)
    told = {name: datatype_of(dtype) for name, dtype in dtypes.items()}
    read_as = declared | {name: datatype for name, datatype in told.items() if datatype is not None}
    frame = table.read_csv(options.frame, read_as) if options.frame else example
    if not frame:
        raise _misconfigured("--frame is needed: rows that the model was made with, as comma-separated values")
    labels = {}
    if options.label:
        if options.label not in frame:
            raise _misconfigured(f"--label: the frame has no column {options.label!r}")
        labels = {options.label: frame.pop(options.label)}
    frame = _in_order(frame, declared)
    golden = table.read_csv(options.golden, _datatypes(frame) | read_as) if options.golden else {}
    golden.pop(options.label, None)
    if golden and set(golden) != set(frame):
        raise _misconfigured("--golden: the columns are not those of the frame")
    return Order(
        artifact=artifact,
        file=file,
        frame=frame,
        golden={name: golden[name] for name in frame} if golden else {},
        labels=labels,
        bounds=dict(_bounds(text) for text in options.range),
        dtypes=dtypes,
        trusted=tuple(options.trust),
        clock=Clock.OFF if options.reproducible else Clock.ON,
        card=_card(options),
    )


def _artifact(path: Path) -> "tuple[str, bytes, dict[str, Datatype], dict[str, str], Columns]":
    """The package's file that the model goes in, its bytes, and the columns, dtypes and rows that it brings along."""
    from penstock_serving.jobs.mlflow import read_mlflow
    from penstock_serving.model.digest import open_regular
    from penstock_serving.model.files import GRAPH_FILE, MODEL_FILE, SKOPS_FILE

    kinds = {
        ".joblib": MODEL_FILE,
        ".pkl": MODEL_FILE,
        ".pickle": MODEL_FILE,
        ".skops": SKOPS_FILE,
        ".onnx": GRAPH_FILE,
    }
    if path.is_dir():
        found = read_mlflow(path)
        return found.file, found.content, found.columns, found.dtypes, found.example
    if path.suffix not in kinds:
        raise _misconfigured(f"{path.name!r} is neither a directory nor one of {', '.join(kinds)}")
    with open_regular(path) as stream:
        return kinds[path.suffix], stream.read(), {}, {}, {}


def _in_order(frame: "Columns", declared: "dict[str, Datatype]") -> "Columns":
    """The columns that the model declares, in its order; all of them, as they stand, when it declares none."""
    missing = [name for name in declared if name not in frame]
    if missing:
        raise _misconfigured(f"the frame has no column {missing[0]!r}, which the model's signature names")
    return {name: frame[name] for name in declared} if declared else frame


def _datatypes(frame: "Columns") -> "dict[str, Datatype]":
    from penstock_serving.model.frame import column_datatype

    return {name: column_datatype(name, values) for name, values in frame.items()}


def _bounds(text: str) -> tuple[str, tuple[float, float]]:
    name, _, ends = text.rpartition("=")
    low, _, high = ends.partition(":")
    try:
        return name, (float(low), float(high))
    except ValueError as error:
        raise _misconfigured(f"--range: {text[:80]!r} is not COLUMN=LOW:HIGH") from error


def _dtype(text: str) -> tuple[str, str]:
    name, separator, dtype = text.rpartition("=")
    if not separator:
        raise _misconfigured(f"--dtype: {text[:80]!r} is not COLUMN=DTYPE")
    return name, dtype


def _card(options: argparse.Namespace) -> "Card":
    from penstock_serving.jobs.data import data_digest
    from penstock_serving.model.card import Card, Data, Training

    data = Data(options.data_version, data_digest(options.data)) if options.data else None
    said = options.training_seconds is not None or options.training_memory is not None or options.seed
    return Card(
        owner=options.owner,
        purpose=options.purpose,
        cost_of_errors=options.cost_of_errors,
        data=data,
        training=Training(
            seconds=options.training_seconds,
            peak_memory_bytes=options.training_memory,
            seeds=tuple(options.seed),
        )
        if said
        else None,
    )


def _misconfigured(why: str) -> BadModelError:
    return BadModelError(contract.REASON_MISCONFIGURED, why)
