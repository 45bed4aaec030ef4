"""The cluster: brought up, filled with images and the operator, and asked through kubectl."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

sys.path.append(str(Path(__file__).resolve().parents[2]))

from localcluster.processes import tied

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("operator", "serving", "router")
OPERATOR_NAMESPACE = "penstock-system"

Json = dict[str, Any]


class CommandFailedError(RuntimeError):
    """A command that the demo needs did not do its work; the message ends with what it said."""


def localcluster(*arguments: str) -> str:
    """Run `python -m localcluster`; its progress goes to the terminal."""
    return _run([sys.executable, "-m", "localcluster", *arguments], None, sys.stderr)


def prepare() -> None:
    """A running cluster that has this checkout's images and a ready operator."""
    localcluster("up")
    archives = [_image(target) for target in TARGETS]
    os.environ.update(_environment())
    rendered = _run([sys.executable, str(ROOT / "manifests" / "render.py"), "local"], None)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=_marked(rendered, archives))
    kubectl("wait", "--for=condition=Established", "crd", "modeldeployments.penstock.dev", "--timeout=60s")
    rollout = ("rollout", "status", "deployment/penstock-operator", "-n", OPERATOR_NAMESPACE)
    kubectl(*rollout, "--timeout=180s")


def _image(target: str) -> str:
    """Build and load one image; the archive's name, which tells its content."""
    tag = f"docker.io/penstock/{target}:dev"
    archive = localcluster("image", "build", "--tag", tag, "--target", target).strip().splitlines()[-1]
    localcluster("image", "load", archive)
    return Path(archive).name


def _marked(rendered: str, archives: list[str]) -> str:
    """The operator's pod says which images it came with, so that it is replaced when they change under the same tag."""
    objects = [item for item in yaml.safe_load_all(rendered) if item]
    for item in objects:
        if item["kind"] == "Deployment":
            item["spec"]["template"]["metadata"]["annotations"] = {"penstock.dev/images": " ".join(archives)}
    return yaml.safe_dump_all(objects)


def apply(*objects: Json) -> None:
    """Server-side apply."""
    kubectl("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(objects))


class Window:
    """Reads from the API server, and from pods and Services behind it, over one connection: a kubectl for each look would
    take more of a small machine than the models do."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20.0)

    def text(self, path: str) -> str:
        """The answer to a GET. Raises CommandFailedError."""
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CommandFailedError(f"GET {path}: {error!r}") from error
        if answer.status != 200:
            raise CommandFailedError(f"GET {path}: {answer.status} {body[:300]}")
        return body

    def read(self, path: str) -> Json:
        """The object, or the list of objects, at a path. Raises CommandFailedError."""
        found: Json = json.loads(self.text(path))
        return found


@contextmanager
def window() -> Iterator[Window]:
    """A window that `kubectl proxy` holds open, whatever kubectl takes to reach the cluster."""
    command = tied(["kubectl", "proxy", "--address=127.0.0.1", "--port=0"])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as proxy:  # noqa: S603
        try:
            assert proxy.stdout is not None
            told = re.search(r":(\d+)$", proxy.stdout.readline().strip())
            if told is None:
                raise CommandFailedError("kubectl proxy: it does not say where it serves")
            yield Window(int(told[1]))
        finally:
            proxy.terminate()


def kubectl(*arguments: str, given: str | None = None) -> str:
    """The standard output of kubectl. Raises CommandFailedError."""
    return _run(["kubectl", *arguments], given)


def _environment() -> dict[str, str]:
    """What `localcluster env` exports."""
    exported = dict(re.findall(r'^export (\w+)="?([^"\n]*)', localcluster("env"), re.MULTILINE))
    return {"KUBECONFIG": exported["KUBECONFIG"], "PATH": f"{exported['PATH'].rstrip(':')}:{os.environ['PATH']}"}


def _run(command: list[str], given: str | None, errors: Any = subprocess.PIPE) -> str:
    finished = subprocess.run(  # noqa: S603
        command, cwd=ROOT, input=given, stdout=subprocess.PIPE, stderr=errors, text=True, check=False
    )
    if finished.returncode:
        raise CommandFailedError(f"{' '.join(command[:6])}: {finished.stderr or ''}{finished.stdout[-500:]}")
    return finished.stdout
