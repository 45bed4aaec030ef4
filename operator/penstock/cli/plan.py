"""`penstock plan`: how a release will go at a given traffic, before it is begun."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from penstock.api import BadManifestError
from penstock.cli.chart import UnusableTargetError, print_plan, save_plan, usable
from penstock.cli.chart.charset import console_on
from penstock.cli.planning.as_json import as_json
from penstock.cli.planning.manifest import Manifest, read
from penstock.cli.planning.planner import Progress, plan
from penstock.cli.planning.question import (
    BadQuestionError,
    Fleet,
    Question,
    parse_base,
    parse_count,
    parse_releases,
    parse_traffic,
)
from penstock.cli.planning.report import body, heading

DESCRIPTION = """\
Tell how a release will go at a given traffic, before it is begun: how long each step lasts and why, when a candidate as
good as stable is promoted, which regressions would be found when and which would be missed, and which tolerance can be
decided before the deadline. Releases are simulated under the judge's own rules; nothing is contacted.
"""

EXAMPLES = """\
examples:
  penstock plan fraud.yaml --traffic 50/s --base-error 0.5%
  penstock plan fraud.yaml --traffic 1200/min --base-error failed=0.5%,refused=0.1%,slow=5% --chart plan.png
  penstock plan fraud.yaml --traffic 3/h --base-error 1% --json
"""

BAD_INPUT = 2
MOST_ROUTERS, MOST_MODELS = 100, 10_000_000


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "plan",
        help="tell how a release will go at a given traffic",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "spec", metavar="SPEC", help="a ModelDeployment (YAML); its rollout matters; - is standard input"
    )
    parser.add_argument(
        "--traffic", metavar="N/TIME", required=True, help="requests in all, like 50/s, 1200/min or 3/h"
    )
    parser.add_argument(
        "--base-error",
        metavar="SHARE",
        required=True,
        help="stable's rate, like 0.5%%, or one for each guardrail, like failed=0.5%%,refused=0.1%%,slow=5%%",
    )
    parser.add_argument("--routers", metavar="N", default="2", help="router pods that share the traffic (default: 2)")
    parser.add_argument("--models", metavar="N", help="models of the fleet, to expect its false rollbacks a year")
    parser.add_argument("--releases-a-year", metavar="N", help="releases of each of these models a year")
    parser.add_argument("--json", action="store_true", help="print the same facts as one JSON object, and no chart")
    parser.add_argument("--chart", metavar="FILE", help="draw the charts in a .png or .svg file too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan; 0 whatever the outlook, 2 when the manifest or an option is unusable."""
    try:
        manifest = _manifest(arguments.spec)
        question = _question(arguments, manifest)
        if arguments.chart is not None:
            usable(arguments.chart)
        with _progress() as progress:
            facts = plan(manifest, question, progress)
        if arguments.chart is not None:
            save_plan(facts, arguments.chart)
    except BadManifestError as error:
        return _refuse(f"{arguments.spec} is not usable:\n{error}")
    except BadQuestionError as error:
        return _refuse(str(error))
    except UnusableTargetError as error:
        return _refuse(f"--chart: {error}")
    except (OSError, UnicodeDecodeError) as error:
        return _refuse(str(error))
    if arguments.json:
        json.dump(as_json(facts), sys.stdout, indent=2)
        print()
        return 0
    console = console_on(sys.stdout)
    console.print(heading(facts))
    for part in body(facts):
        console.print()
        console.print(part)
    console.print()
    print_plan(facts, console)
    return 0


def _refuse(says: str) -> int:
    print(f"penstock: {says}", file=sys.stderr)
    return BAD_INPUT


def _manifest(name: str) -> Manifest:
    return read(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))


def _question(arguments: argparse.Namespace, manifest: Manifest) -> Question:
    names = [str(rail.name) for rail in manifest.rollout.guardrails]
    with _option("--traffic"):
        traffic = parse_traffic(arguments.traffic)
    with _option("--base-error"):
        base = parse_base(arguments.base_error, names)
    with _option("--routers"):
        routers = parse_count(arguments.routers, MOST_ROUTERS)
    return Question(traffic, base, routers, _fleet(arguments))


def _fleet(arguments: argparse.Namespace) -> Fleet | None:
    if arguments.models is None and arguments.releases_a_year is None:
        return None
    if arguments.models is None:
        raise BadQuestionError("--releases-a-year is of each model: add --models, the number of them")
    if arguments.releases_a_year is None:
        raise BadQuestionError("--models needs --releases-a-year too, how often each of them is released")
    with _option("--models"):
        models = parse_count(arguments.models, MOST_MODELS)
    with _option("--releases-a-year"):
        return Fleet(models, parse_releases(arguments.releases_a_year))


@contextmanager
def _option(name: str) -> Iterator[None]:
    """Name the option in whatever is refused."""
    try:
        yield
    except BadQuestionError as error:
        raise BadQuestionError(f"{name}: {error}") from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error while a person watches it."""
    console = console_on(sys.stderr)
    if not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    with Bar(TextColumn("simulating {task.description}"), BarColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
