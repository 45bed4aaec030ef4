"""`penstock digest`: the digest that the fetcher asks for."""

import hashlib
from pathlib import Path

import pytest
from penstock.cli.main import main

CONTENT = b"weights"
MANIFEST = f"{hashlib.sha256(CONTENT).hexdigest()} {len(CONTENT)} model.joblib\n".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.joblib").write_bytes(CONTENT)
    return tmp_path


def test_it_prints_the_sha256_of_the_manifest(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["digest", str(folder)]) == 0
    assert capfd.readouterr().out == f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}\n"


def test_it_prints_the_manifest_to_be_served_beside_the_folder(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["digest", "--manifest", str(folder)]) == 0
    assert capfdbinary.readouterr().out == MANIFEST


def test_what_is_no_folder_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["digest", str(tmp_path / "absent")]) != 0
    told = capfd.readouterr()
    assert told.out == ""
    assert "absent' is no directory" in told.err
