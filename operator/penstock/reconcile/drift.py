"""What differs between an object as it should be and as it is: the first difference, by its path.

Only what we ask for is compared. What the API server or others added is theirs; what we no longer ask for shows in the
fingerprint of what was last asked for.
"""

import hashlib
import json
from decimal import Decimal
from typing import Any

from penstock.api.names import GROUP
from penstock.api.scalars import Quantity
from penstock.world import Manifest

ANNOTATION_FINGERPRINT = f"{GROUP}/fingerprint"
"""Hash of what the operator last asked of the object."""

_ATOMIC = ("selector", "podSelector", "nodeSelector", "labelSelector")
"""Maps that mean something only as a whole, so that a key too many is a difference too."""
_IDENTITY = ("name", "mountPath", "uid")
"""Fields by which entries of a list are told apart; without them the list means something only as a whole."""


def stamped(manifest: Manifest) -> Manifest:
    """The manifest with the fingerprint of its own contents."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    metadata = manifest["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    annotations[ANNOTATION_FINGERPRINT] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def first_difference(wanted: Manifest, live: Manifest) -> str | None:
    """Path of the first field that is not as wanted, None when there is none: `spec.replicas is 3, not 2`."""
    return _differs(wanted, live, "")


def _differs(wanted: Any, live: Any, path: str) -> str | None:
    if wanted == live or (_is_empty(wanted) and _is_empty(live)):
        return None
    if isinstance(wanted, dict) and isinstance(live, dict) and not path.endswith(_ATOMIC):
        for key, value in wanted.items():
            difference = _differs(value, live.get(key), f"{path}.{key}" if path else key)
            if difference is not None:
                return difference
        return None
    if isinstance(wanted, list) and isinstance(live, list):
        return _lists_differ(wanted, live, path)
    if ".resources." in path and _same_amount(wanted, live):
        return None
    return f"{path} is {_shown(live)}, not {_shown(wanted)}"


def _lists_differ(wanted: list[Any], live: list[Any], path: str) -> str | None:
    key = next((key for key in _IDENTITY if all(isinstance(entry, dict) and key in entry for entry in wanted)), None)
    if key is None:
        if len(wanted) != len(live):
            return f"{path} has {len(live)} entries, not {len(wanted)}"
        pairs = [(f"{path}[{i}]", entry, live[i]) for i, entry in enumerate(wanted)]
    else:
        found = {entry.get(key): entry for entry in live if isinstance(entry, dict)}
        pairs = [(f"{path}[{entry[key]}]", entry, found.get(entry[key], {})) for entry in wanted]
    return next((says for where, entry, other in pairs if (says := _differs(entry, other, where)) is not None), None)


def _is_empty(value: Any) -> bool:
    """The API server leaves out what is empty; zero and false are kept apart from it."""
    return value is None or value == "" or (isinstance(value, (dict, list)) and not value)


def _same_amount(wanted: Any, live: Any) -> bool:
    """The API server writes amounts anew: 1000m comes back as 1."""
    one, other = _amount(wanted), _amount(live)
    return one is not None and one == other


def _amount(value: Any) -> Decimal | None:
    try:
        return Quantity(str(value)).value
    except ValueError:
        return None


def _shown(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}…"
