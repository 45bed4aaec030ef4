"""`penstock serve DIR`: the server of the pods, on this machine, for one package."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from penstock_serving import contract
from penstock_serving.model.digest import tree_digest
from penstock_serving.model.errors import BadModelError, ModelError
from penstock_serving.model.files import GOLDEN_FILE, model_directory

DESCRIPTION = """Serve a package on this machine, as a pod would, without Kubernetes. The package is pinned to the digest
that it has now: serve only what you trust, as a pickle in it runs the code that it holds."""
_LOOK_SECONDS = 0.05
_SHOWN = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the package's directory")
    parser.add_argument("--port", type=int, default=contract.SERVING_PORT, help="where to answer (default %(default)s)")
    parser.add_argument("--address", default="127.0.0.1", help="on which address (default: this machine only)")
    parser.add_argument("--name", help="the model's name in paths (default: the directory's name)")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; return the exit code of the server."""
    directory: Path = options.directory.resolve()
    try:
        digest = tree_digest(directory)
        name = options.name or directory.name
        port = options.port or _free_port(options.address)
        with tempfile.TemporaryDirectory(prefix="penstock-serve-") as folder:
            root = Path(folder)
            model_directory(root, digest).symlink_to(directory, target_is_directory=True)
            environment = _environment(root, name, digest, options.address, port)
            return _serve(environment, directory, f"http://{_host(options.address)}:{port}", name)
    except ModelError as error:
        print(f"penstock serve: {error.message}", file=sys.stderr)
        return error.exit_code


def _environment(root: Path, name: str, digest: str, address: str, port: int) -> dict[str, str]:
    return {
        contract.ENV_METRICS_TOKEN_FILE: "",
        contract.ENV_SERVING_METRICS_PORT: str(_free_port(address)),
        contract.ENV_MONITOR_SOCKET: str(root / "monitor.sock"),
        contract.ENV_REVISION: "local",
        **os.environ,
        contract.ENV_MODEL_NAME: name,
        contract.ENV_MODEL_DIGEST: digest,
        contract.ENV_MODEL_ROOT: str(root),
        contract.ENV_BIND_ADDRESS: address,
        contract.ENV_SERVING_PORT: str(port),
        contract.ENV_TERMINATION_LOG: str(root / "termination-log"),
    }


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise BadModelError(
            contract.REASON_MISCONFIGURED, f"--address {address!r} is no address of this machine"
        ) from error


def _host(address: str) -> str:
    if address in {"0.0.0.0", "::"}:  # noqa: S104  (asked for by the user)
        return "localhost"
    return f"[{address}]" if ":" in address else address


def _serve(environment: dict[str, str], directory: Path, url: str, name: str) -> int:
    began = time.monotonic()
    command = [sys.executable, "-m", "penstock_serving.server"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:  # noqa: S603

        def stop(number: int, _frame: FrameType | None) -> None:
            server.send_signal(signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        while server.poll() is None and not _ready(url):
            time.sleep(_LOOK_SECONDS)
        if server.poll() is None:
            print(_greeting(directory, url, name, time.monotonic() - began), flush=True)
        return server.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + contract.PATH_READY, timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _greeting(directory: Path, url: str, name: str, seconds: float) -> str:
    path = f"{url}/v2/models/{name}"
    with urllib.request.urlopen(path, timeout=10) as answer:  # noqa: S310
        properties = json.load(answer).get("properties", {})
    lines = [f"{name} is served at {path} (ready after {seconds:.1f} s; Ctrl-C ends it)"]
    lines += [f"  {key}: {value}" for key, value in properties.items()]
    request = _example(directory)
    if len(request) <= _SHOWN:
        quoted = request.replace("'", "'\\''")
        lines += ["Ask it:", f"  curl -s {path}/infer -H 'content-type: application/json' -d '{quoted}'"]
    else:
        lines += [
            "Ask it for its golden rows:",
            f'  python -c \'import json; print(json.dumps(json.load(open("{directory / GOLDEN_FILE}"))["request"]))\' |',
            f"  curl -s {path}/infer -H 'content-type: application/json' -d @-",
        ]
    return "\n".join(lines)


def _example(directory: Path) -> str:
    """The golden request's first row."""
    request = json.loads((directory / GOLDEN_FILE).read_bytes())["request"]
    inputs = [{**item, "shape": [1], "data": item["data"][:1]} for item in request["inputs"]]
    return json.dumps({"inputs": inputs})
