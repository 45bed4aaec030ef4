"""Opening the file that holds a model: an ONNX graph, a skops file, or, when nothing safer is there, a pickle."""

import importlib
import io
import pickle
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from penstock_serving import contract
from penstock_serving.model.archive import Limits
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import MODEL_FILE, SKOPS_FILE
from penstock_serving.model.trust import Mismatch, Trust

_UNLOADABLE = (
    pickle.UnpicklingError,
    ImportError,
    AttributeError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    RecursionError,
)
_MOST_MEMBERS = 1_000_000


def open_pickle(content: bytes) -> Any:
    """Unpickle a joblib file. The bytes can run any code here: open only what was pinned, or in the sandbox.

    Raises `BadModelError` (NotAModel) for what cannot be loaded.
    """
    import joblib

    try:
        return joblib.load(io.BytesIO(content))
    except _UNLOADABLE as error:
        raise BadModelError(
            contract.REASON_NOT_A_MODEL,
            f"{MODEL_FILE} cannot be loaded ({type(error).__name__}: {str(error)[:200]}); "
            "what the pickle names must be installed where it is served",
        ) from error


def _skops() -> Any:
    """The library's reader and writer; raises `BadModelError` (Misconfigured) where it is not installed."""
    try:
        return importlib.import_module("skops.io")
    except ModuleNotFoundError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"{SKOPS_FILE} needs the library skops; install penstock[serving]"
        ) from error


def foreign_types(content: bytes) -> tuple[str, ...]:
    """Types in a skops file that skops does not trust by itself, sorted; nothing of them is imported or called."""
    skops = _skops()
    _require_small(content)
    try:
        return tuple(skops.get_untrusted_types(data=content))
    except (*_UNLOADABLE, zipfile.BadZipFile) as error:
        raise _unreadable_skops(error) from error


def open_skops(content: bytes, trusted: Sequence[str]) -> Any:
    """Load a skops file that holds no types but those that skops trusts and `trusted` names.

    The list is the deployer's: what an artifact says of itself is never asked. Raises `BadModelError`: types beyond
    (all named), a file that cannot be read or is too large unpacked, no skops here.
    """
    skops = _skops()
    refused = [name for name in foreign_types(content) if name not in trusted]
    if refused:
        shown = ", ".join(name[:100] for name in refused[:20])
        raise BadModelError(
            contract.REASON_FORBIDDEN,
            f"{SKOPS_FILE} holds types that nobody trusts: {shown}; when you do, name them in "
            f"spec.runtime.trust.skopsTypes, without Kubernetes in {contract.ENV_SKOPS_TRUSTED}",
        )
    try:
        return skops.loads(content, trusted=list(trusted))
    except (*_UNLOADABLE, zipfile.BadZipFile) as error:
        raise _unreadable_skops(error) from error


def _require_small(content: bytes) -> None:
    """Refuse a zip that unpacks to more than a model may be."""
    limits = Limits(max_files=_MOST_MEMBERS)
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise _unreadable_skops(error) from error
    if len(members) > limits.max_files:
        raise limits.refuse_files()
    if sum(member.file_size for member in members) > limits.max_bytes:
        raise limits.refuse_bytes()


def _unreadable_skops(error: BaseException) -> BadModelError:
    return BadModelError(
        contract.REASON_NOT_A_MODEL, f"{SKOPS_FILE} cannot be loaded ({type(error).__name__}: {str(error)[:200]})"
    )


def require_versions(made_with: str, trust: Trust) -> None:
    """Raise `BadModelError` when scikit-learn is here in another minor version than `made_with`, unless trusted."""
    installed = version("scikit-learn")
    if _minor(made_with) != _minor(installed) and trust.mismatch is Mismatch.REFUSE:
        raise BadModelError(
            contract.REASON_VERSION_MISMATCH,
            f"the model was made with scikit-learn {made_with}, this image serves with {installed}; "
            "an estimator is good for its own minor version only: serve it with a matching image or train again "
            f"(spec.runtime.trust.scikitLearnMismatch: Allow takes the risk, without Kubernetes "
            f"{contract.ENV_SCIKIT_LEARN_MISMATCH}=allow)",
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
