"""`penstock package`: a model's file and rows in, a package out."""

from typing import Any

from penstock_serving.jobs import command


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "package", help="package a fitted model for serving", description=command.DESCRIPTION
    )
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)
