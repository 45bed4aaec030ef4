"""`python -m oip_conformance --url http://host:port --model NAME --example request.json`: test a server, print a report.

Exits 0 when every case that is offered passed, 1 when one failed, 2 when the suite could not be run.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from oip_conformance.plugin import Suite
from oip_conformance.report import FAIL, markdown
from oip_conformance.target import Target

_CASES = Path(__file__).with_name("cases")


def main(arguments: list[str]) -> int:
    """Run the suite; returns the exit code."""
    parser = argparse.ArgumentParser(prog="oip_conformance", description=__doc__)
    parser.add_argument("--url", required=True, help="where the server is: http://host:port")
    parser.add_argument("--grpc", default="", metavar="HOST:PORT", help="its gRPC address; without it gRPC is left out")
    parser.add_argument("--model", required=True, help="the name of a model that is ready")
    parser.add_argument("--example", required=True, type=Path, help="a JSON inference request that the model answers")
    parser.add_argument("--name", default="", help="what the report calls the server (default: its URL)")
    parser.add_argument("--report", type=Path, help="write the report to this file, too")
    options = parser.parse_args(arguments)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # other plugins have no say in the cases
    suite = Suite(Target(options.url, options.grpc, options.model, json.loads(options.example.read_text())))
    code = pytest.main(
        [
            str(_CASES),
            f"--rootdir={_CASES}",
            f"--config-file={_CASES / 'pytest.ini'}",
            "-q",
            "--no-header",
            "--tb=no",
            "-p",
            "no:cacheprovider",
        ],
        plugins=[suite],
    )
    text = markdown(options.name or options.url, suite.outcomes)
    print(text)
    if options.report:
        options.report.write_text(text)
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return 2
    return int(any(outcome.result == FAIL for outcome in suite.outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
