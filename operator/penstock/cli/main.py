"""The command `penstock`."""

import argparse
import sys
from collections.abc import Sequence

from penstock.cli import plan, replay


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the return value is the process's exit status (2: unusable input)."""
    parser = argparse.ArgumentParser(
        prog="penstock", description="Releases of machine-learning models that take themselves back."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (replay, plan):
        command.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    status: int = arguments.run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
