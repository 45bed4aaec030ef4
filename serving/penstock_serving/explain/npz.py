"""Arrays in one file, in numpy's own `.npz` form, read without pickle and within limits.

The layout is that of numpy.lib.format version 1.0 in a zip archive. `numpy.load` would trust sizes that the file names;
here a member's header must agree with the bytes that are there before anything is allocated for it.
"""

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from penstock_serving.model.frame import Matrix

MAX_BYTES = 256 * 1024 * 1024
MAX_MEMBERS = 20_000
_MAX_HEADER = 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>\|u1|\|b1|<i4|<f8)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{1,12},|[0-9]{1,12}, [0-9]{1,12})\), \} *\n"
)


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
    if raw[:8] != _MAGIC:
        raise MalformedError(f"{info.filename} is not an array of version 1.0")
    start = 10 + int.from_bytes(raw[8:10], "little")
    header = _HEADER.fullmatch(raw[10:start]) if start <= _MAX_HEADER else None
    if header is None:
        raise MalformedError(f"{info.filename} is not a plain array of numbers")
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(size) for size in header["shape"].decode().split(",") if size.strip())
    if len(raw) - start != math.prod(shape) * dtype.itemsize:
        raise MalformedError(f"{info.filename} does not hold as many values as it says")
    return np.frombuffer(raw, dtype=dtype, offset=start).reshape(shape)
