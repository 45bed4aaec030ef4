"""`python -m penstock_serving.digest [--manifest] DIR`: the digest that a model is pinned to, or its manifest."""

import argparse
import sys
from pathlib import Path

from penstock_serving.model.digest import manifest, tree_digest, tree_entries
from penstock_serving.model.errors import ModelError

DESCRIPTION = "The digest that a model is pinned to, for spec.model.digest."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="the packaged model's directory")
    parser.add_argument("--manifest", action="store_true", help="print the manifest to serve next to it")


def run(options: argparse.Namespace) -> int:
    """Print the digest (or the manifest) of a directory; return the exit code."""
    try:
        if options.manifest:
            sys.stdout.buffer.write(manifest(tree_entries(options.directory)))
        else:
            print(tree_digest(options.directory))
    except ModelError as error:
        print(f"penstock digest: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="penstock digest", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
