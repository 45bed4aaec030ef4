"""`penstock serve`: the model server on this machine, without Kubernetes."""

from typing import Any

from penstock_serving import serve


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("serve", help="serve a package on this machine", description=serve.DESCRIPTION)
    serve.add_arguments(parser)
    parser.set_defaults(run=serve.run)
