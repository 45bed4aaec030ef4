"""The digest of a directory names its content and nothing else."""

import hashlib
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving import digest as command
from penstock_serving.model.digest import (
    Entry,
    digest,
    manifest,
    parse_manifest,
    require_digest,
    safe_path,
    tree_digest,
    tree_entries,
)
from penstock_serving.model.errors import BadModelError

segments = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=8
).filter(lambda segment: segment not in {".", ".."})
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)
entries = st.builds(
    Entry, st.binary(max_size=8).map(lambda content: hashlib.sha256(content).hexdigest()), st.integers(0, 2**40), paths
)
trees = st.lists(entries, max_size=6, unique_by=lambda entry: entry.path)


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def test_the_digest_is_the_sha256_of_the_sorted_lines(tmp_path: Path) -> None:
    root = write(tmp_path, {"b": b"two", "a/.hidden": b"", "a/c": b"one"})
    lines = sorted(
        f"{hashlib.sha256(content).hexdigest()} {len(content)} {path}\n".encode()
        for path, content in {"b": b"two", "a/.hidden": b"", "a/c": b"one"}.items()
    )
    assert tree_digest(root) == "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest()


def test_it_is_the_same_as_coreutils_give(tmp_path: Path) -> None:
    """The published way to compute it by hand: sha256sum, stat, sort, sha256sum."""
    root = write(tmp_path, {"model.joblib": b"x" * 3, "signature.json": b"{}"})
    lines = (
        'find . -type f -printf "%P\\n" | while read f; do echo "$(sha256sum <$f | cut -c-64) $(stat -c%s $f) $f"; done'
    )
    script = f"{lines} | LC_ALL=C sort | sha256sum | cut -c-64"
    by_hand = subprocess.run(["sh", "-c", script], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
    assert tree_digest(root) == "sha256:" + by_hand


def test_modes_times_and_empty_folders_do_not_count(tmp_path: Path) -> None:
    root = write(tmp_path, {"model": b"content"})
    before = tree_digest(root)
    (root / "model").chmod(0o600)
    os.utime(root / "model", (0, 0))
    (root / "empty").mkdir()
    assert tree_digest(root) == before


@pytest.mark.parametrize(
    "change",
    [
        {"model": b"contenT"},
        {"model": b"content", "more": b""},
        {"model": b"content", ".hidden": b""},
        {"Model": b"content"},
        {"sub/model": b"content"},
    ],
)
def test_any_change_of_content_or_path_is_another_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    assert tree_digest(write(tmp_path / "a", {"model": b"content"})) != tree_digest(write(tmp_path / "b", change))


@pytest.mark.parametrize("kind", ["symlink", "folder link", "fifo", "socket"])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: str) -> None:
    root = write(tmp_path, {"model": b"content", "sub/other": b""})
    match kind:
        case "symlink":
            (root / "link").symlink_to("model")
        case "folder link":
            (root / "link").symlink_to("sub", target_is_directory=True)
        case "fifo":
            os.mkfifo(root / "link")
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(root / "link"))
    with pytest.raises(BadModelError, match="'link' is"):
        tree_digest(root)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(BadModelError, match="UTF-8"):
        tree_digest(tmp_path)


@settings(deadline=None)
@given(trees)
def test_order_does_not_matter_and_the_manifest_reads_back(tree: list[Entry]) -> None:
    assert digest(tree) == digest(tree[::-1])
    assert sorted(parse_manifest(manifest(tree)), key=lambda entry: entry.path) == sorted(tree, key=lambda e: e.path)


@settings(deadline=None)
@given(trees.filter(bool), st.data())
def test_a_manifest_that_was_changed_is_refused_or_has_another_digest(tree: list[Entry], data: st.DataObject) -> None:
    content = bytearray(manifest(tree))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(BadModelError):
        assert digest(parse_manifest(bytes(content))) != digest(tree)


def test_a_path_that_occurs_twice_is_refused() -> None:
    with pytest.raises(BadModelError, match="twice"):
        digest([Entry("0" * 64, 1, "a"), Entry("1" * 64, 1, "a")])


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", ".", "a\\b", "a\nb", "a\0b"]
)
def test_paths_that_leave_or_confuse_are_refused(path: str) -> None:
    with pytest.raises(BadModelError, match="is refused"):
        safe_path(path)


@pytest.mark.parametrize(
    "text", ["", "latest", "sha256:abc", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 65]
)
def test_what_is_no_digest_is_named_with_the_remedy(text: str) -> None:
    with pytest.raises(BadModelError, match="penstock digest") as refusal:
        require_digest(text)
    assert refusal.value.reason == "DigestNotPinned"


def test_the_command_prints_digest_and_manifest(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    root = write(tmp_path, {"model": b"content"})
    assert command.main([str(root)]) == 0
    assert capfdbinary.readouterr().out.decode() == tree_digest(root) + "\n"
    assert command.main(["--manifest", str(root)]) == 0
    assert capfdbinary.readouterr().out == manifest(tree_entries(root))
    assert command.main([str(root / "nothing")]) == 78
    assert b"no directory" in capfdbinary.readouterr().err
