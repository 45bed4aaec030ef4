"""What `fetch` says in its termination log when it is done: what the package will be served by, for the operator.

A kubelet keeps 4,096 bytes of a container's last words. So texts are cut and made printable: as JSON they then take twice
their room at most, and all of them together fit.
"""

import json
from dataclasses import asdict
from typing import Any

from penstock_serving.compile.result import Compared, Proof
from penstock_serving.model.choice import Choice

_REASON_BYTES = 500
_METHODS = 8
_NAME_BYTES = 60
_VERSION_BYTES = 32


def announcement(choice: Choice) -> str:
    """The JSON object that the contract describes, of less than 4,096 bytes in UTF-8."""
    said: dict[str, Any] = {"backend": choice.backend}
    if choice.fallback_reason:
        said["fallbackReason"] = _plain(choice.fallback_reason, _REASON_BYTES)
    if choice.proof is not None:
        said["proof"] = _proof(choice.proof)
    return json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _proof(proof: Proof) -> dict[str, Any]:
    versions = {name: _plain(text, _VERSION_BYTES) for name, text in asdict(proof.versions).items()}
    versions["scikitLearn"] = versions.pop("scikit_learn")
    return {
        "rows": sum(count for _, count in proof.rows),
        "compared": [_compared(compared) for compared in proof.compared[:_METHODS]],
        "versions": versions,
    }


def _compared(compared: Compared) -> dict[str, Any]:
    return {
        "method": _plain(compared.method, _NAME_BYTES),
        "largestDifference": f"{compared.largest_difference:.3g}",
        "on": _plain(compared.on, _NAME_BYTES),
        "ties": compared.ties,
    }


def _plain(text: str, most: int) -> str:
    """One printable line of at most so many bytes."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    encoded = line.encode()
    return line if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"
