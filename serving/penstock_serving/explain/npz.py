"""Arrays in one file, in numpy's own `.npz` form, read without pickle and within limits.

The layout is that of numpy.lib.format version 1.0 in a zip archive. `numpy.load` would trust sizes that the file names;
here a member's header must agree with the bytes that are there before anything is allocated for it.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from penstock_serving.model.frame import Matrix

MAX_BYTES = 256 * 1024 * 1024
MAX_MEMBERS = 20_000
_MAX_HEADER = 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DTYPES = frozenset({"|u1", "|b1", "<i4", "<i8", "<f8"})


class MalformedError(ValueError):
    """A file that is not what this program writes; the message says where."""


def write(document: bytes, arrays: Sequence[Matrix]) -> bytes:
    """A document and arrays (numbered from 0) as one file, the same bytes for the same content.

    Raises `MalformedError` when they are more than can be read again.
    """
    members = {"document": np.frombuffer(document, dtype=np.uint8)} | {f"a{n}": a for n, a in enumerate(arrays)}
    if len(members) > MAX_MEMBERS or sum(array.nbytes + _MAX_HEADER for array in members.values()) > MAX_BYTES:
        raise MalformedError(f"the model's arrays are more than {MAX_BYTES >> 20} MiB or {MAX_MEMBERS} in number")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in members.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content.getvalue())
    return target.getvalue()


def read(content: bytes) -> tuple[bytes, tuple[Matrix, ...]]:
    """The document and the arrays of a file; raises `MalformedError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _members(archive)
            arrays = {name: _array(archive, info) for name, info in members.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise MalformedError("it is not an archive of arrays") from error
    document = arrays.pop("document", None)
    if document is None or document.dtype != np.uint8 or document.ndim != 1:
        raise MalformedError("it holds no document")
    if set(arrays) != {f"a{number}" for number in range(len(arrays))}:
        raise MalformedError("its arrays are not numbered from 0")
    return document.tobytes(), tuple(arrays[f"a{number}"] for number in range(len(arrays)))


def _members(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    members = {info.filename.removesuffix(".npy"): info for info in infos if info.filename.endswith(".npy")}
    if len(members) != len(infos) or len(infos) > MAX_MEMBERS:
        raise MalformedError("its members are not arrays of different names")
    if sum(info.file_size for info in infos) > MAX_BYTES:
        raise MalformedError(f"its arrays are more than {MAX_BYTES >> 20} MiB")
    if any(info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for info in infos):
        raise MalformedError("its members are neither stored nor deflated")
    return members


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Matrix:
    with archive.open(info) as member:
        raw = member.read(info.file_size + 1)
    stream = io.BytesIO(raw)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise MalformedError(f"{info.filename} is not of version 1.0")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise MalformedError(f"{info.filename} has no array's header") from error
    if dtype.str not in _DTYPES or by_column or any(size < 0 for size in shape):
        raise MalformedError(f"{info.filename} is not a plain array of numbers")
    if len(raw) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise MalformedError(f"{info.filename} does not hold as many values as it says")
    return np.frombuffer(raw, dtype=dtype, offset=stream.tell()).reshape(shape)
