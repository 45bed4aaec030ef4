"""Proving again in the sandbox: what runs in the confined child, which is the only place where the estimator is opened."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

from penstock_serving import contract
from penstock_serving.compile.proof import prove_again
from penstock_serving.compile.proof_json import dump
from penstock_serving.compile.result import Proven
from penstock_serving.model.asked import bare
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.estimator import open_pickle, open_skops
from penstock_serving.model.files import GOLDEN_FILE, MODEL_FILE, ONNX_FILE, PROOF_FILE, SIGNATURE_FILE, SKOPS_FILE
from penstock_serving.model.fitted import as_fitted
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.model.signature_json import load as load_signature
from penstock_serving.protocol import v2
from penstock_serving.protocol.errors import RequestError
from penstock_serving.renewal.order import TRUSTED
from penstock_serving.renewal.rows import KIND, golden_or_drawn
from penstock_serving.sandbox.parts import Parts


def work(parts: Parts) -> Parts:
    """Open the estimator and compare the package's compiled form with it; the answer is the text of a proof.

    The parts are those of `renewal.order`. Raises `BadModelError` for an estimator that cannot be opened or asked.
    """
    warnings.simplefilter("ignore")
    signature = load_signature(parts[SIGNATURE_FILE])
    golden = _golden(parts[GOLDEN_FILE], signature)
    estimator = as_fitted(_opened(parts), signature)
    for output in signature.outputs:
        if not callable(getattr(estimator, output.name, None)):
            raise _refused(f"the estimator's file holds a {type(bare(estimator)).__name__} without {output.name}()")
    result = prove_again(parts[ONNX_FILE], estimator, signature, golden_or_drawn(signature, golden), KIND)
    return {PROOF_FILE: dump(result.proof if isinstance(result, Proven) else result)}


def _opened(parts: Mapping[str, bytes]) -> Any:
    if SKOPS_FILE in parts:
        return open_skops(parts[SKOPS_FILE], json.loads(parts[TRUSTED]))
    return open_pickle(parts[MODEL_FILE])


def _golden(content: bytes, signature: Signature) -> Matrix:
    """The golden rows [rows, columns] as the server hands them to the model."""
    try:
        request = json.dumps(json.loads(content)["request"]).encode()
        return v2.decode_call(request, None, signature).matrix
    except (ValueError, KeyError, TypeError, RecursionError, RequestError) as error:
        raise _refused(f"{GOLDEN_FILE} holds no request that this image takes") from error


def _refused(why: str) -> BadModelError:
    return BadModelError(contract.REASON_NOT_A_MODEL, why)
