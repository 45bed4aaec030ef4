"""`fetch` brings a model only if who was named has signed it, and pays for that only where it is asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from penstock_serving import contract
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.fetch import Wanted, fetch
from penstock_serving.model.files import model_directory
from penstock_serving.model.signing import signer
from penstock_serving.model.signing.signer import Authorities, PublicKey

from tests.serving_signing.making import KEY, a_key, pem, public, sign, statement, whole_files, write
from tests.serving_signing.test_signing_vectors import OWN_KEY, OWN_ROOT, signed_by_the_tool


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Signed, and then pinned: the digest is of the package with its signature in it."""
    sign(write(tmp_path / "package"), statement(whole_files()))
    return tmp_path / "package"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def wanted(package: Path, by: signer.Signer | None) -> Wanted:
    return Wanted(str(package), tree_digest(package), signer=by)


def test_a_signed_model_is_published_with_its_signature(package: Path, root: Path) -> None:
    directory = fetch(wanted(package, public(KEY)), root)
    assert (directory / "model.sig").read_bytes() == (package / "model.sig").read_bytes()


def test_a_model_of_another_signer_is_not_and_nothing_of_it_stays(package: Path, root: Path) -> None:
    with pytest.raises(BadModelError) as error:
        fetch(wanted(package, public(a_key())), root)
    assert error.value.reason == contract.REASON_SIGNATURE_REFUSED
    assert list(root.iterdir()) == []


def test_another_digest_is_told_before_the_signature_is_looked_at(package: Path, root: Path) -> None:
    with pytest.raises(BadModelError) as error:
        fetch(Wanted(str(package), "sha256:" + "0" * 64, signer=public(a_key())), root)
    assert error.value.reason == contract.REASON_DIGEST_MISMATCH


def test_a_model_that_is_there_already_is_verified_again(package: Path, root: Path) -> None:
    directory = fetch(wanted(package, None), root)
    assert fetch(wanted(package, public(KEY)), root) == directory
    with pytest.raises(BadModelError) as error:
        fetch(wanted(package, public(a_key())), root)
    assert error.value.reason == contract.REASON_SIGNATURE_REFUSED


def test_a_signature_that_nobody_asked_for_is_a_file_like_any_other(package: Path, root: Path) -> None:
    (package / "model.sig").write_text("no signature at all")
    fetch(wanted(package, None), root)


def process(package: Path, root: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        contract.ENV_MODEL_URI: f"file://{package}",
        contract.ENV_MODEL_DIGEST: tree_digest(package),
        contract.ENV_MODEL_ROOT: str(root),
        contract.ENV_TERMINATION_LOG: str(root.parent / "termination-log"),
    }
    program = [sys.executable, "-m", "penstock_serving.fetch"]
    return subprocess.run(program, env=environment | more, capture_output=True, text=True, timeout=120)


def last_words(root: Path) -> dict[str, str]:
    said: dict[str, str] = json.loads((root.parent / "termination-log").read_text())
    return said


@pytest.mark.parametrize(
    ("file", "variable", "value"),
    [
        ("key.sig", contract.ENV_SIGNED_BY_PUBLIC_KEY, OWN_KEY.pem),
        ("certificate.sig", contract.ENV_SIGNED_BY_AUTHORITIES, OWN_ROOT.pem),
    ],
)
def test_the_container_fetches_what_the_reference_implementation_signed(
    tmp_path: Path, root: Path, file: str, variable: str, value: str
) -> None:
    package = signed_by_the_tool(tmp_path / "package", file)
    ended = process(package, root, **{variable: value})
    assert ended.returncode == 0, ended.stderr
    assert model_directory(root, tree_digest(package)).is_dir()
    assert "backend" in last_words(root)


@pytest.mark.parametrize("more", [True, False], ids=["added to", "unsigned"])
def test_the_container_refuses_any_other_and_says_why(tmp_path: Path, root: Path, more: bool) -> None:
    package = signed_by_the_tool(tmp_path / "package", "key.sig")
    if more:
        (package / "more").touch()
    else:
        (package / "model.sig").unlink()
    ended = process(package, root, **{contract.ENV_SIGNED_BY_PUBLIC_KEY: OWN_KEY.pem})
    assert ended.returncode == contract.EXIT_BAD_INPUT
    assert last_words(root)["reason"] == contract.REASON_SIGNATURE_REFUSED
    assert last_words(root)["kind"] == contract.KIND_BAD_INPUT
    assert list(root.iterdir()) == []


def test_the_container_refuses_to_choose_between_two_signers(package: Path, root: Path) -> None:
    both = {contract.ENV_SIGNED_BY_PUBLIC_KEY: pem(KEY), contract.ENV_SIGNED_BY_AUTHORITIES: OWN_ROOT.pem}
    ended = process(package, root, **both)
    assert ended.returncode == contract.EXIT_BAD_INPUT
    assert last_words(root)["reason"] == contract.REASON_MISCONFIGURED


def test_who_must_have_signed_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signer.from_environment() is None
    monkeypatch.setenv(contract.ENV_SIGNED_BY_PUBLIC_KEY, "a key")
    assert signer.from_environment() == PublicKey("a key")
    monkeypatch.setenv(contract.ENV_SIGNED_BY_PUBLIC_KEY, "")
    monkeypatch.setenv(contract.ENV_SIGNED_BY_AUTHORITIES, "some")
    assert signer.from_environment() == Authorities("some")


@pytest.mark.parametrize("module", ["penstock_serving.fetch", "penstock_serving.server.main", "penstock_serving.serve"])
def test_cryptography_is_imported_only_where_a_signature_is_asked_for(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(name for name in sys.modules if 'cryptography' in name))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.strip() == ""
