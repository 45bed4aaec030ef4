"""`penstock digest`: what a model is pinned to, reckoned as the fetcher does."""

from typing import Any

from penstock_serving import digest


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "digest", help="print the digest that a model's folder is pinned to", description=digest.DESCRIPTION
    )
    digest.add_arguments(parser)
    parser.set_defaults(run=digest.run)
