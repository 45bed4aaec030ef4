"""`penstock digest`: what a model is pinned to, reckoned as the fetcher does."""

import argparse
from typing import Any

from penstock_serving import digest


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "digest",
        help="print the digest that a model's folder is pinned to",
        description="Print the digest of a model's folder, for spec.model.digest.",
    )
    parser.add_argument("directory", metavar="DIR", help="the model's folder")
    parser.add_argument(
        "--manifest", action="store_true", help="print the manifest instead, to be served beside the folder"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it; the exit status tells whether trying again can help, as it does of the fetcher."""
    return digest.main([*(["--manifest"] if arguments.manifest else []), "--", arguments.directory])
