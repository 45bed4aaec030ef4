"""The native lane is built where there is Rust; where there is not, that is said, and none of other sources is left."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "serving"))

from native import build

WITHOUT = "the model server will answer without its native lane, slower."


@dataclass(frozen=True, slots=True)
class Place:
    """A crate in a folder of its own, the stamp's folder, and the commands that would have been run."""

    crate: Path
    stamps: Path
    path: Path
    commands: list[list[str]]

    def cargo(self, says: str, *, code: int = 0) -> None:
        """The machine's only program: a cargo of this version."""
        program = self.path / "cargo"
        program.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
        program.chmod(0o755)

    def install(self, stamp: str = "now") -> str:
        """The stamp's content."""
        build.install(self.stamps / f".lane-{stamp}")
        assert [path.name for path in self.stamps.iterdir()] == [f".lane-{stamp}"]
        return (self.stamps / f".lane-{stamp}").read_text()

    def ran(self, *words: str) -> list[list[str]]:
        """The commands that have these words."""
        return [command for command in self.commands if set(words) <= set(command)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    crate, stamps, path = (tmp_path / name for name in ("crate", "stamps", "path"))
    for folder in (crate / "src", crate / "wheels", stamps, path, tmp_path / "installed"):
        folder.mkdir(parents=True)
    (tmp_path / "installed" / "lane_of_yesterday.py").touch()
    for name in ("Cargo.lock", "pyproject.toml", "build.py"):
        (crate / name).write_text(name)
    (crate / "Cargo.toml").write_text('[package]\nrust-version = "1.92"\n')
    (crate / "src" / "lib.rs").write_text("// the lane")
    made = Place(crate, stamps, path, [])

    def run(command, environment, *, output=None):
        made.commands.append(command)
        if "maturin" in command:
            (crate / "wheels" / "new.whl").write_text("made of the sources")
        return json.dumps({"packages": []})

    monkeypatch.setattr(build, "FOLDER", crate)
    monkeypatch.setattr(build, "run", run)
    monkeypatch.setattr(build, "MODULE", "lane_of_yesterday")
    monkeypatch.syspath_prepend(tmp_path / "installed")  # for this process alone: to the next, pip has removed it
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return made


def test_where_there_is_rust_the_wheel_of_the_locked_crates_is_built_and_installed(place):
    place.cargo("cargo 1.92.0 (344c4567c 2025-10-21)")
    (place.crate / "wheels" / "old.whl").write_text("of other sources")
    assert place.install() == build.digest_of_sources()
    assert [path.name for path in build.wheels()] == ["new.whl"]
    assert len(place.ran("maturin", "--locked", "--release")) == 1
    assert len(place.ran("install", "--no-index", "--no-deps", str(place.crate / "wheels" / "new.whl"))) == 1


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        (None, 0, "No Rust (cargo) is on this machine"),
        ("no default toolchain is configured", 1, "No Rust (cargo) is on this machine"),
        ("cargo 1.91.1 (ea2d97820 2025-10-10)", 0, "Rust here is 1.91.1, and 1.92 or newer is needed"),
        ("cargo 1.9.0", 0, "Rust here is 1.9.0, and 1.92 or newer is needed"),
    ],
)
def test_without_fitting_rust_one_line_says_so_and_a_lane_of_other_sources_goes(
    place, capsys, monkeypatch, says, code, why
):
    if says:
        place.cargo(says, code=code)
    (place.crate / "wheels" / "old.whl").write_text("of other sources")
    (place.stamps / ".lane-earlier").write_text("another digest")
    assert place.install() == ""
    assert build.wheels() == []
    assert place.commands == place.ran("uninstall", "penstock-lane")
    told = capsys.readouterr().out.splitlines()
    assert told == [f"{why}: {WITHOUT} To have it, install Rust 1.92 or newer (rustup.rs) and call make again."]


def test_without_a_way_to_the_crates_one_line_says_so(place, capsys):
    program = place.path / "cargo"
    program.write_text(
        "#!/bin/sh\n[ $1 = fetch ] || { echo cargo 1.95.0; exit; }\necho 'error: no network' >&2\nexit 101\n"
    )
    program.chmod(0o755)
    assert place.install() == ""
    assert place.ran("maturin") == []
    what = "The crates that it is made of cannot be had (no network)"
    assert capsys.readouterr().out.splitlines() == [f"{what}: {WITHOUT} Once they can, call `make clean install`."]


def test_a_lock_that_does_not_fit_is_not_taken_for_a_missing_network(place):
    program = place.path / "cargo"
    program.write_text(
        "#!/bin/sh\n[ $1 = fetch ] || { echo cargo 1.95.0; exit; }\n"
        "echo 'error: cannot update the lock file because --locked was passed to prevent this' >&2\nexit 101\n"
    )
    program.chmod(0o755)
    place.install()
    assert len(place.ran("maturin")) == 1


def test_a_lane_that_something_else_put_there_is_named_where_none_is_built(place, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    place.install()
    left = tmp_path / "installed" / "lane_of_yesterday.py"
    assert f"But {left} is there, of unknown sources: remove it" in capsys.readouterr().out


def test_a_lane_of_the_same_sources_stays_whatever_rust_there_is(place):
    place.cargo("cargo 1.92.0")
    digest = place.install("1.92.0")
    place.commands.clear()
    place.cargo("cargo 1.95.0")
    assert place.install("1.95.0") == digest
    (place.path / "cargo").unlink()
    assert place.install("none") == digest
    assert place.commands == []


@pytest.mark.parametrize(
    "name", ["Cargo.toml", "Cargo.lock", "pyproject.toml", "build.py", "src/lib.rs", "src/more.rs"]
)
def test_whatever_the_wheel_is_made_of_makes_another(place, name):
    place.cargo("cargo 1.92.0")
    first = place.install()
    with (place.crate / name).open("a") as file:
        file.write("\n# changed")
    assert place.install() != first
    assert len(place.ran("maturin")) == 2


def test_a_wheel_that_was_deleted_is_built_again(place):
    place.cargo("cargo 1.92.0")
    place.install()
    build.wheels()[0].unlink()
    place.install()
    assert len(build.wheels()) == 1


def test_a_lane_that_does_not_build_fails_and_leaves_none_of_other_sources(place, monkeypatch):
    place.cargo("cargo 1.92.0")
    (place.crate / "wheels" / "old.whl").write_text("of other sources")
    quiet = build.run

    def failing(command, environment, *, output=None):
        if "maturin" in command:
            raise SystemExit("it does not compile")
        return quiet(command, environment, output=output)

    monkeypatch.setattr(build, "run", failing)
    with pytest.raises(SystemExit, match="it does not compile"):
        place.install()
    assert build.wheels() == []
    assert len(place.ran("uninstall")) == 1
    assert list(place.stamps.iterdir()) == []


def test_a_command_that_fails_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"serving/native: `false now` failed, see above"):
        build.run(["false", "now"], dict(os.environ))


def test_nothing_is_compiled_inside_the_checkout(monkeypatch):
    monkeypatch.delenv("PENSTOCK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert build.environment()["CARGO_TARGET_DIR"] == "/somewhere/penstock/native"


@pytest.mark.parametrize("look", [build.lint, build.test])
def test_what_needs_rust_is_left_out_aloud(place, capsys, look):
    look()
    assert place.commands == []
    assert capsys.readouterr().out.startswith("LEFT OUT: cargo ")


def test_a_component_of_rust_that_is_missing_is_named_and_the_other_runs(place, capsys):
    (place.path / "cargo").write_text('#!/bin/sh\ntest "$1" != fmt && echo "cargo 1.92.0"\n')
    (place.path / "cargo").chmod(0o755)
    build.lint()
    assert [command[:2] for command in place.commands] == [["cargo", "clippy"]]
    assert "LEFT OUT: cargo fmt. This Rust has no rustfmt: `rustup component add rustfmt`" in capsys.readouterr().out


def test_tests_in_rust_are_left_out_where_they_cannot_load_python(place, capsys, monkeypatch):
    place.cargo("cargo 1.92.0")
    monkeypatch.setattr(build, "library", lambda: place.path / "libpython3.11.so")
    build.test()
    assert place.commands == []
    assert "This Python came without libpython3.11.so" in capsys.readouterr().out
    (place.path / "libpython3.11.so").touch()
    build.test()
    assert [command[:2] for command in place.commands] == [["cargo", "test"]]
