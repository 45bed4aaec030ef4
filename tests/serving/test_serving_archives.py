"""Archives that nobody vouches for are unpacked whole and inside, or refused by name without harm."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_serving.model.archive import Limits, extract
from penstock_serving.model.errors import BadModelError

LIMITS = Limits(max_bytes=1 << 20, max_files=20)


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def plain(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def giant_header() -> bytes:
    """A tar whose extended header says it is 1 GiB long, compressed to almost nothing."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    return gzip.compress(info.tobuf() + bytes(1 << 20))


def lying_zip() -> bytes:
    """A zip whose directory says that its one member, 8 MiB of zeros, is 1 byte long."""
    content = bytearray(zipped(("model", bytes(8 << 20), 0o100644)))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 1)
    content[22:26] = struct.pack("<I", 1)
    return bytes(content)


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "climbs out": ("a.tar", lambda: tar(plain("../evil")), "'../evil' is refused"),
    "climbs out in the middle": ("a.tar", lambda: tar(plain("a/../../evil")), "is refused"),
    "absolute path": ("a.tar", lambda: tar(plain("/tmp/evil")), "'/tmp/evil' is refused"),
    "folder that climbs out": ("a.tar", lambda: tar(special("../evil", tarfile.DIRTYPE)), "is refused"),
    "symbolic link": ("a.tar", lambda: tar(special("l", tarfile.SYMTYPE, "/etc"), plain("l/x")), "no plain file"),
    "hard link": ("a.tar", lambda: tar(plain("a"), special("b", tarfile.LNKTYPE, "/etc/passwd")), "no plain file"),
    "device": ("a.tar", lambda: tar(special("null", tarfile.CHRTYPE)), "no plain file"),
    "fifo": ("a.tar", lambda: tar(special("pipe", tarfile.FIFOTYPE)), "no plain file"),
    "same path twice": ("a.tar", lambda: tar(plain("a"), plain("a", b"y")), "twice"),
    "file as folder": ("a.tar", lambda: tar(plain("a"), plain("a/b")), "twice"),
    "too many files": ("a.tar", lambda: tar(*[plain(str(n)) for n in range(21)]), "more than 20 files"),
    "too many bytes": ("a.tar", lambda: tar(plain("a", bytes(1 << 20)), plain("b")), "larger than 1048576 bytes"),
    "gzip bomb": ("a.tar.gz", lambda: gzip.compress(tar(plain("a", bytes(64 << 20)))), "larger than"),
    "gzip bomb of nothing": ("a.tgz", lambda: gzip.compress(bytes(64 << 20)), "no files"),
    "giant header": ("a.tar.gz", giant_header, "extension header"),
    "truncated": ("a.tar.gz", lambda: gzip.compress(tar(plain("a", bytes(9999))))[:-20], "damaged"),
    "no archive": ("a.tar.gz", lambda: b"model", "damaged"),
    "no zip": ("a.zip", lambda: b"model", "damaged"),
    "zip climbs out": ("a.zip", lambda: zipped(("../evil", b"x", 0)), "is refused"),
    "zip absolute": ("a.zip", lambda: zipped(("/tmp/evil", b"x", 0)), "is refused"),
    "zip backslash": ("a.zip", lambda: zipped(("..\\evil", b"x", 0)), "is refused"),
    "zip link": ("a.zip", lambda: zipped(("link", b"/etc/passwd", stat.S_IFLNK | 0o777)), "link, special or encrypted"),
    "zip bomb": ("a.zip", lambda: zipped(("a", bytes(64 << 20), 0)), "larger than"),
    "lying zip": ("a.zip", lying_zip, "damaged|larger than"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_and_write_nothing_outside(tmp_path: Path, case: str) -> None:
    name, make, message = HOSTILE[case]
    (tmp_path / "box").mkdir()
    archive = tmp_path / "box" / name
    archive.write_bytes(make())
    with pytest.raises(BadModelError, match=message):
        extract(archive, name, tmp_path / "box" / "tree", LIMITS)
    assert {path.name for path in tmp_path.iterdir()} == {"box"}
    assert {path.name for path in (tmp_path / "box").iterdir()} <= {name, "tree"}
    held = sum(path.stat().st_size for path in (tmp_path / "box" / "tree").rglob("*") if path.is_file())
    assert held <= LIMITS.max_bytes
    assert not any(path.is_symlink() for path in (tmp_path / "box").rglob("*"))


contents = st.dictionaries(
    st.lists(
        st.text("abc.é", min_size=1, max_size=5).filter(lambda s: s not in {".", ".."}), min_size=1, max_size=3
    ).map("/".join),
    st.binary(max_size=200),
    min_size=1,
    max_size=6,
).filter(lambda files: not any(f"{other}/" in f"{path}/" for path in files for other in files if other != path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(files=contents, kind=st.sampled_from([".tar", ".tar.gz", ".zip"]))
def test_plain_archives_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    packed = tar(*[plain("./" + path, content) for path, content in files.items()])
    match kind:
        case ".tar.gz":
            packed = gzip.compress(packed)
        case ".zip":
            packed = zipped(*[(path, content, stat.S_IFREG | 0o600) for path, content in files.items()])
    (folder / "a").write_bytes(packed)
    extract(folder / "a", "a" + kind, folder / "tree", LIMITS)
    found = {
        path.relative_to(folder / "tree").as_posix(): path.read_bytes()
        for path in (folder / "tree").rglob("*")
        if path.is_file()
    }
    assert found == files
