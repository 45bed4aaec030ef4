"""The cluster: brought up, filled with images and the operator, and asked through kubectl."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

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


def read(*arguments: str) -> Json:
    """`kubectl get … -o json`."""
    found: Json = json.loads(kubectl("get", *arguments, "-o", "json"))
    return found


def raw(path: str) -> str:
    """The answer of the API server, or of a pod or Service behind it."""
    return kubectl("get", "--raw", path)


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
