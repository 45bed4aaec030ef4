"""Builds the native lane into a wheel and installs it beside this Python; looks at its sources; runs their tests.

    python serving/native/build.py install STAMP | lint | test

Where the machine has no Rust, an older one than the crate needs, or no way to the crates that it is made of, nothing is
built: the model server answers without its native lane, slower. One line says so, and it is no failure. Everything else
that fails is a failure.
"""

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
DISTRIBUTION = "penstock-lane"
MODULE = "penstock_lane"
STAMPS = ".lane-*"

Version = tuple[int, ...]


def install(stamp: Path) -> None:
    """Install the lane of these sources, and have its wheel in `wheels/` for the images; or see that no other is there.

    The stamp, and those before it in its folder, hold the digest of the sources that the installed lane is of; the
    stamp is empty where there is none. Raises SystemExit where there is Rust and the lane does not build.
    """
    with _alone():
        digest = digest_of_sources()
        earlier = list(stamp.parent.glob(STAMPS))
        if not any(path.read_text() == digest for path in earlier) or not wheels():
            # Before anything can fail: a lane of other sources would answer in the place of these.
            _remove()
            lack = lacking()
            if lack:
                digest = ""
                tell(f"{lack.what}: the model server will answer without its native lane, slower. {lack.remedy}")
                _tell_of_another()
            else:
                tell("Building the model server's native lane (a minute the first time) …")
                _install(_built())
        for path in earlier:
            path.unlink()
        stamp.write_text(digest)


def lint() -> None:
    """Format and clippy, as far as this Rust has them. Raises SystemExit where they find something."""
    lack = lacking()
    if lack:
        tell(f"LEFT OUT: cargo fmt, cargo clippy. {lack.what}. {lack.remedy}")
        return
    looks = {"fmt": ["--check"], "clippy": ["--quiet", "--locked", "--", "-D", "warnings"]}
    component = {"fmt": "rustfmt", "clippy": "clippy"}
    for name, arguments in looks.items():
        if said(["cargo", name, "--version"]) is None:
            tell(
                f"LEFT OUT: cargo {name}. This Rust has no {component[name]}: `rustup component add {component[name]}`"
            )
        else:
            run(["cargo", name, *arguments], environment())


def test() -> None:
    """The tests in Rust. Raises SystemExit where one fails."""
    lack = lacking()
    if lack:
        tell(f"LEFT OUT: cargo test. {lack.what}. {lack.remedy}")
    elif not library().exists():
        # Unlike the extension, which Python loads, a test is a program that has to load Python.
        tell(f"LEFT OUT: cargo test. This Python came without {library().name}: install its development files.")
    else:
        run(["cargo", "test", "--quiet", "--locked"], environment())


def digest_of_sources() -> str:
    """Over everything that the wheel is made of, and how."""
    names = ("Cargo.toml", "Cargo.lock", "pyproject.toml", Path(__file__).name)
    files = [FOLDER / name for name in names] + sorted((FOLDER / "src").rglob("*.rs"))
    whole = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        whole.update(f"{path.relative_to(FOLDER)} {len(content)}\n".encode() + content)
    return whole.hexdigest()


@dataclass(frozen=True, slots=True)
class Lack:
    """What this machine lacks, and what to do to have it."""

    what: str
    remedy: str


def lacking() -> Lack | None:
    """Why the lane cannot be built on this machine; None where it can."""
    remedy = f"To have it, install Rust {needed()} or newer (rustup.rs) and call make again."
    words = said(["cargo", "--version"])
    found = re.search(r"\d+(?:\.\d+)+", words or "")
    if found is None:
        return Lack("No Rust (cargo) is on this machine", remedy)
    if _version(found[0]) < _version(needed()):
        return Lack(f"Rust here is {found[0]}, and {needed()} or newer is needed", remedy)
    fetch = ["cargo", "fetch", "--quiet", "--locked"]
    fetched = subprocess.run(fetch, cwd=FOLDER, capture_output=True, text=True, check=False)  # noqa: S603
    # A lock that does not fit the crate is our own mistake, which the build shall show.
    if fetched.returncode == 0 or "--locked" in fetched.stderr:
        return None
    why = next(iter(fetched.stderr.splitlines()), "cargo fetch failed").removeprefix("error: ")
    return Lack(f"The crates that it is made of cannot be had ({why})", "Once they can, call `make clean install`.")


def needed() -> str:
    """The oldest Rust that the crate takes."""
    return str(tomllib.loads((FOLDER / "Cargo.toml").read_text())["package"]["rust-version"])


def wheels() -> list[Path]:
    """The wheels that were built; images take them from here."""
    return sorted((FOLDER / "wheels").glob("*.whl"))


def library() -> Path:
    """Python's own library, where a program finds it that loads Python."""
    folder, name = (sysconfig.get_config_var(name) or "" for name in ("LIBDIR", "LDLIBRARY"))
    return Path(folder, name)


def environment() -> dict[str, str]:
    """For cargo: this Python, and a target folder outside of the checkout, as a checkout is copied into images."""
    paths = [str(library().parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    own = {"PYO3_PYTHON": sys.executable, "LD_LIBRARY_PATH": ":".join(paths), "CARGO_TARGET_DIR": str(cache())}
    return os.environ | own


def cache() -> Path:
    """What cargo has compiled: a shortcut, which may be deleted at any time."""
    chosen = os.environ.get("PENSTOCK_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(chosen).expanduser() if chosen else user / "penstock").resolve() / "native"


def said(command: list[str]) -> str | None:
    """What a command prints; None where there is no such command or it fails."""
    try:
        finished = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return finished.stdout if finished.returncode == 0 else None


def run(command: list[str], environment: dict[str, str], *, output: int | None = None) -> str:
    """Run a command in the crate's folder. Raises SystemExit where it fails.

    What it prints is for the user; or, with PIPE as `output`, is returned.
    """
    finished = subprocess.run(command, cwd=FOLDER, env=environment, stdout=output, text=True, check=False)  # noqa: S603
    if finished.returncode:
        raise SystemExit(f"serving/native: `{' '.join(command)}` failed, see above")
    return finished.stdout or ""


def tell(text: str) -> None:
    """A line for the user, before what a command says afterwards."""
    print(text, flush=True)


def _built() -> Path:
    command = [sys.executable, "-m", "maturin", "build", "--quiet", "--release", "--locked"]
    run([*command, "--interpreter", sys.executable, "--out", "wheels"], environment() | _same_anywhere())
    (wheel,) = wheels()
    return wheel


def _same_anywhere() -> dict[str, str]:
    """Compiler flags that keep this machine's folders out of the wheel: where a panic would be is told by file."""
    listed = ["cargo", "metadata", "--quiet", "--locked", "--format-version", "1"]
    told = json.loads(run(listed, environment(), output=subprocess.PIPE))
    packages = [Path(package["manifest_path"]).parent for package in told["packages"]]
    folders = {package.parent: "/crates" for package in packages if package != FOLDER} | {FOLDER: "/native"}
    flags = os.environ.get("RUSTFLAGS", "").split()
    flags += [f"--remap-path-prefix={folder}={name}" for folder, name in folders.items()]
    return {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}


def _install(wheel: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    run([*pip, str(wheel)], dict(os.environ))


def _remove() -> None:
    for wheel in wheels():
        wheel.unlink()
    if find_spec(MODULE) is not None:
        run([sys.executable, "-m", "pip", "uninstall", "-qqq", "--yes", DISTRIBUTION], dict(os.environ))


def _tell_of_another() -> None:
    """What pip did not put there, as a copy by hand, it also leaves there."""
    look = f"from importlib.util import find_spec as f; s = f({MODULE!r}); print(s and s.origin or '')"
    left = (said([sys.executable, "-c", look]) or "").strip()
    if left:
        tell(f"But {left} is there, of unknown sources: remove it, or the model server may use it.")


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time, of all checkouts, as they share what is compiled."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> None:
    """The command line."""
    match arguments:
        case ["install", stamp]:
            install(Path(stamp).resolve())
        case ["lint"]:
            lint()
        case ["test"]:
            test()
        case _:
            raise SystemExit("usage: build.py install STAMP | lint | test")


if __name__ == "__main__":
    main(sys.argv[1:])
