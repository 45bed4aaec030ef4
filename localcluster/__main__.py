"""`python -m localcluster up|down|status|env|image`: see `python -m localcluster --help`."""

import argparse
import json
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from localcluster import building, cluster, description, images
from localcluster.building import Request
from localcluster.description import Description
from localcluster.errors import ClusterError, RefusalError
from localcluster.places import State, cache_root, default_state
from localcluster.progress import Part, Progress

INTERRUPTED = 130
FAILED = 1
REFUSED = 2


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed, 2 refused, 130 interrupted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    state = State((options.state or default_state(options.tier)).resolve())
    try:
        return _run(options, state, Progress(cache_root() / "durations.json"))
    except RefusalError as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return REFUSED
    except ClusterError as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; what was started is gone again", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace, state: State, progress: Progress) -> int:
    match options.command:
        case "up":
            _print_environment(cluster.up(options.tier, state, progress=progress))
        case "prepare":
            cluster.prepare(options.tier, state, progress=progress)
        case "down":
            cluster.down(state, progress=progress)
        case "env":
            _print_environment(_standing(state))
        case "image-build":
            print(building.build(_request(options), state=state.root, progress=progress))
        case "image-load":
            for archive in options.archives:
                with progress.step(Part(f"load {archive.stem.rpartition('-')[0] or archive.stem}", 5)):
                    images.import_archive(archive.resolve(), state=state)
        case "status":
            return _print_status(state)
    return 0


def _request(options: argparse.Namespace) -> Request:
    file = options.file or options.context / "Dockerfile"
    return Request(options.tag, options.target, file.resolve(), options.context.resolve())


def _standing(state: State) -> Description:
    standing = description.read(state)
    if standing is None:
        raise RefusalError(f"there is no ready cluster in {state.root}: `python -m localcluster up` makes one")
    return standing


def _print_status(state: State) -> int:
    standing = description.read(state)
    if standing is None:
        print(json.dumps({"state": str(state.root), "up": False}))
        return FAILED
    ready = cluster.serves(standing, state)
    print(json.dumps({"state": str(state.root), "up": ready, **asdict(standing)}, indent=1))
    return 0 if ready else FAILED


def _print_environment(standing: Description) -> None:
    print(f"export KUBECONFIG={shlex.quote(standing.kubeconfig)}")
    print(f'export PATH={shlex.quote(standing.commands)}:"$PATH"')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(required=True, dest="command")
    for name, text in (
        ("up", "bring a cluster up, or leave a ready one as it is"),
        ("prepare", "install and build what `up` would, without starting anything"),
        ("down", "end a cluster and remove everything of it"),
        ("status", "describe a cluster as JSON; exit code 1 when it is not ready"),
        ("env", "print the shell commands that point kubectl at a cluster"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _add_place(command)
    image = commands.add_parser("image", help="build an image without a registry, or load one into a node")
    actions = image.add_subparsers(required=True)
    text = "build an image into an archive, whose path is printed; one of the same inputs is not built again"
    build = actions.add_parser("build", help=text, description=text)
    build.add_argument("--tag", required=True, help="the image's full name, as docker.io/penstock/serving:dev")
    build.add_argument("--target", required=True, help="the Dockerfile's target")
    build.add_argument("--file", type=Path, help="default: Dockerfile in the context")
    build.add_argument("context", type=Path, nargs="?", default=Path(), help="default: the current folder")
    build.set_defaults(command="image-build")
    text = "load image archives into the running node"
    load = actions.add_parser("load", help=text, description=text)
    load.add_argument("archives", type=Path, nargs="+")
    load.set_defaults(command="image-load")
    for command in (build, load):
        _add_place(command)
    return parser


def _add_place(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tier", choices=("control-plane", "node"), default="node", help="default: node")
    command.add_argument("--state", type=Path, help="the cluster's folder; several can exist side by side")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
