"""Reading what somebody unknown has written: JSON of one meaning, of bounded size, and Base64.

Two readers of one text must not find two things in it, so a key that occurs twice is refused, as is what JSON does not
have (NaN). The size is bounded by who reads the file, the depth by the parser's own limit.
"""

import base64
import json
import re
from typing import Any

from penstock_serving import contract
from penstock_serving.model.border import Border
from penstock_serving.model.errors import BadModelError

OMS_FILE = "model.sig"
"""A package's signature, where `model_signing sign` is told to put it: `--signature DIR/model.sig`."""
MOST_BYTES = 4 << 20
"""Of a signature file: ten thousand files, the most that a package may have, take about three quarters of it."""

BORDER = Border(OMS_FILE, contract.REASON_SIGNATURE_REFUSED, "sign the package again")
_URL_SAFE = str.maketrans("-_", "+/")
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


def refused(says: str) -> BadModelError:
    """The refusal of a signature, for what it says or for what it does not cover."""
    return BadModelError(contract.REASON_SIGNATURE_REFUSED, f"{OMS_FILE}: {says}")


def document(content: bytes, where: str) -> object:
    """The JSON document in `content`; raises `BadModelError`."""
    try:
        found: object = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BORDER.bad(where, "JSON text in UTF-8, each key once") from error
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def holding(value: object, where: str, keys: set[str]) -> dict[str, Any]:
    """An object with at least these keys, where the format lets others add theirs."""
    if not isinstance(value, dict) or not keys <= set(value):
        raise BORDER.bad(where, f"an object with {', '.join(sorted(keys))}")
    return value


def decoded(value: object, where: str) -> bytes:
    """The bytes of a Base64 text, in the usual or the URL-safe alphabet (DSSE, "Definitions"); never none."""
    text = BORDER.text(value, where)
    try:
        content = base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except ValueError as error:
        raise BORDER.bad(where, "Base64 text") from error
    if not content:
        raise BORDER.bad(where, "Base64 text of at least one byte")
    return content


def hexadecimal(value: object, where: str, length: int) -> str:
    """A text of so many hexadecimal digits, in lower case."""
    text = BORDER.text(value, where)
    if len(text) != length or not _HEXADECIMAL.fullmatch(text):
        raise BORDER.bad(where, f"{length} hexadecimal digits in lower case")
    return text
