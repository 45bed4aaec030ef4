"""The command `penstock`."""

import argparse
import os
import sys
from collections.abc import Sequence

from penstock.cli import digest, package, plan, replay, serve

READER_GONE = 141
"""As a shell tells of a process that SIGPIPE ended."""

INTERRUPTED = 130
"""As a shell tells of a process that SIGINT ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the return value is the process's exit status (2: unusable input).

    Whoever reads the output may stop before its end: that is no fault, and ends the command without a word.
    """
    parser = argparse.ArgumentParser(
        prog="penstock", description="Releases of machine-learning models that take themselves back."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (replay, plan, digest, package, serve):
        command.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # what is still buffered would fail once more when the interpreter flushes it at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
