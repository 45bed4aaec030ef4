"""`serving.json`: by what a package may be served, as found out when it was made.

The compiled form is bound to the very bytes it was proved against: when the estimator's file is another, the proof says
nothing about it.
"""

from dataclasses import dataclass

from penstock_serving.model.border import Border, written
from penstock_serving.model.files import ESTIMATOR_FILES, SERVING_FILE

FORMAT = "penstock.dev/serving/v1"
_BORDER = Border(SERVING_FILE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """SHA-256 (hexadecimal) of the compiled form, of its proof, and of the estimator's file that it was proved equal to."""

    onnx: str
    proof: str
    estimator: str


@dataclass(frozen=True, slots=True)
class Serving:
    """How a package may be served.

    `estimator` is the file that holds the model; `compiled` its proved compiled form, or None and `not_compiled` says
    why; `rows_independent` whether packaging has shown that a row's answer depends on no other row of its request (else
    `rows_dependent` says why not); `not_explained` why there is no explainer (empty when there is one).
    """

    estimator: str
    compiled: Compiled | None
    not_compiled: str
    rows_independent: bool
    rows_dependent: str
    not_explained: str


def dump(serving: Serving) -> bytes:
    """As the text of `serving.json`."""
    compiled = serving.compiled
    return written(
        {
            "format": FORMAT,
            "estimator": serving.estimator,
            "compiled": compiled and {"onnx": compiled.onnx, "proof": compiled.proof, "estimator": compiled.estimator},
            "not_compiled": serving.not_compiled,
            "rows_independent": serving.rows_independent,
            "rows_dependent": serving.rows_dependent,
            "not_explained": serving.not_explained,
        }
    )


def load(content: bytes) -> Serving:
    """Read `serving.json`; raises `BadModelError` (NotAModel) naming the first field that is wrong."""
    texts = ("not_compiled", "rows_dependent", "not_explained")
    root = _BORDER.document(content, FORMAT, {"estimator", "compiled", "rows_independent", *texts})
    if root["estimator"] not in ESTIMATOR_FILES:
        raise _BORDER.bad("estimator", f"one of {', '.join(ESTIMATOR_FILES)}")
    compiled = None
    if root["compiled"] is not None:
        raw = _BORDER.fields(root["compiled"], "compiled", {"onnx", "proof", "estimator"})
        compiled = Compiled(**{key: _BORDER.text(value, f"compiled.{key}") for key, value in raw.items()})
    return Serving(
        estimator=root["estimator"],
        compiled=compiled,
        rows_independent=_BORDER.flag(root["rows_independent"], "rows_independent"),
        **{key: _BORDER.text(root[key], key) for key in texts},
    )


def unrecorded(estimator: str) -> Serving:
    """What is known of a package without `serving.json`: an earlier form, of an estimator alone."""
    why = "the package was made before models were compiled; package the model again"
    return Serving(estimator, None, why, rows_independent=False, rows_dependent=why, not_explained=why)
