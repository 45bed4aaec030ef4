"""The operators that a compiled model may use; anything else is refused before onnxruntime sees it."""

from penstock_serving import contract
from penstock_serving.compile.wire import MalformedError, contents
from penstock_serving.model.errors import BadModelError

MAX_MODEL_BYTES = 512 << 20
OPSETS = {"": 21, "ai.onnx.ml": 5}
_NAMES = (
    "Abs Add And ArgMax Cast Clip Concat Div Equal Exp Gather Greater GreaterOrEqual Identity IsInf IsNaN Less Log MatMul "
    "Max Min Mul Neg Or ReduceMax ReduceMin ReduceSum Relu Sigmoid Softmax Sqrt Squeeze Sub Tanh TopK Unsqueeze Where"
)
OPERATORS = frozenset({*(("", name) for name in _NAMES.split(" ")), ("ai.onnx.ml", "TreeEnsemble")})


def require_plain(model: bytes) -> None:
    """Raise `BadModelError` unless the bytes are an ONNX model of the kind that the compiler writes.

    That is: of a bounded size, of the opsets above at most, of allow-listed operators only, whole in itself.
    """
    if len(model) > MAX_MODEL_BYTES:
        raise _refuse(f"it is larger than {MAX_MODEL_BYTES} bytes")
    try:
        found = contents(model)
    except MalformedError as error:
        raise _refuse(f"it is damaged: {error}") from error
    unknown = sorted(f"{domain or 'ai.onnx'}.{operator}"[:80] for domain, operator in found.operators - OPERATORS)
    if unknown:
        raise _refuse(f"it uses {', '.join(unknown[:5])!a}, which the compiler does not write")
    if not found.operators:
        raise _refuse("it has no operators")
    if found.peculiar:
        raise _refuse(f"it has {', '.join(sorted(found.peculiar))}")
    if any(version > OPSETS.get(domain, 0) for domain, version in found.opsets.items()):
        raise _refuse("it asks for other opsets than the compiler's")


def _refuse(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, f"the compiled model is refused: {why}; package the model again")
