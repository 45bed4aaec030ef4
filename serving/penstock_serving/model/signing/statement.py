"""What was signed: an in-toto statement about a model's files (OMS v1.0, sections 5, 6.5 and 8.3)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_serving.model.signing.border import BORDER, document, hexadecimal, holding, refused

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
_DIGITS = {"sha256": 64, "blake2b": 128}
_UNKNOWN_HERE = "blake3"
_SERIALIZATION = {"method", "hash_type", "allow_symlinks"}


@dataclass(frozen=True, slots=True)
class Statement:
    """The signed digests.

    `resources` has the digest (hexadecimal) of each whole file by its path, or where `shard_size` (bytes) is there of
    each piece of that length by `path:start:end`. `hash_type` is sha256 or blake2b.
    """

    resources: Mapping[str, str]
    hash_type: str
    shard_size: int | None


def parsed(payload: bytes) -> Statement:
    """Read a payload whose signature was verified; raises `BadModelError` (SignatureRefused).

    The order of the resources is not looked at: `model-signing` sorts them by the parts of their paths, the
    specification by code points, and neither makes a difference to what is signed.
    """
    root = BORDER.fields(
        document(payload, "what is signed"), "what is signed", {"_type", "subject", "predicateType", "predicate"}
    )
    for field, must in (("_type", STATEMENT), ("predicateType", PREDICATE)):
        if root[field] != must:
            raise BORDER.bad(field, repr(must))
    predicate = BORDER.fields(root["predicate"], "predicate", {"resources", "serialization"})
    serialization = BORDER.fields(
        predicate["serialization"], "serialization", _SERIALIZATION, frozenset({"shard_size", "ignore_paths"})
    )
    # true needs no following here: a package holds no links, whatever was signed
    BORDER.flag(serialization["allow_symlinks"], "allow_symlinks")
    for path in BORDER.items(serialization.get("ignore_paths", []), "ignore_paths"):
        BORDER.text(path, "an entry of ignore_paths")
    hash_type, shard_size = _hash_type(serialization["hash_type"]), _shard_size(serialization)
    resources = _resources(predicate["resources"], hash_type, shard_size)
    _require_root(root["subject"], resources)
    return Statement(resources, hash_type, shard_size)


def _hash_type(value: object) -> str:
    name = BORDER.text(value, "hash_type")
    if name == _UNKNOWN_HERE:
        raise refused("its digests are of blake3, which is not known here; sign the package with sha256")
    if name not in _DIGITS:
        raise BORDER.bad("hash_type", f"one of {', '.join(_DIGITS)}")
    return name


def _shard_size(serialization: dict[str, Any]) -> int | None:
    method = BORDER.text(serialization["method"], "method")
    if method == "files" and "shard_size" not in serialization:
        return None
    size = serialization.get("shard_size")
    if isinstance(size, float) and size.is_integer():
        size = int(size)  # `model-signing` writes 100.0
    if method != "shards" or isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise BORDER.bad("serialization", "method files, or method shards with a shard_size of at least one byte")
    return size


def _resources(value: object, hash_type: str, shard_size: int | None) -> dict[str, str]:
    # the second is how `model-signing` 1.1.1 writes it of pieces; it says nothing that serialization does not
    algorithms = (hash_type,) if shard_size is None else (hash_type, f"{hash_type}-sharded-{shard_size}")
    found: dict[str, str] = {}
    for number, each in enumerate(BORDER.items(value, "resources")):
        where = f"resources[{number}]"
        fields = holding(each, where, {"name", "digest", "algorithm"})
        name = BORDER.text(fields["name"], f"{where}.name")
        if fields["algorithm"] not in algorithms:
            raise BORDER.bad(f"{where}.algorithm", f"{hash_type}, the hash_type of the whole")
        if name in found:
            raise refused(f"it names {name[:120]!a} twice; sign the package again")
        found[name] = hexadecimal(fields["digest"], f"{where}.digest", _DIGITS[hash_type])
    if not found:
        raise BORDER.bad("resources", "a list of at least one file")
    return found


def _require_root(value: object, resources: Mapping[str, str]) -> None:
    """The digest over all digests, by which others name the model; a statement that contradicts itself is no statement."""
    subjects = BORDER.items(value, "subject")
    if len(subjects) != 1:
        raise BORDER.bad("subject", "a list of exactly one")
    subject = holding(subjects[0], "subject[0]", {"name", "digest"})
    if not BORDER.text(subject["name"], "subject[0].name"):
        raise BORDER.bad("subject[0].name", "a text that says something")
    digests = holding(subject["digest"], "subject[0].digest", {"sha256"})
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in resources.values())).hexdigest()
    if digests["sha256"] != root:
        raise BORDER.bad("subject[0].digest.sha256", "the digest over all resources")
