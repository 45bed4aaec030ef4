"""schemathesis, from our published OpenAPI document: no 5xx, no answer against the schema, nothing wrong accepted."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]


PIECE = 200
SECONDS_OF_A_PIECE = 900
MOST_PIECES = 40


def run(served: Any, folder: Path, *options: str) -> int:
    """Test every operation; return how many cases there were."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.http}/v2/openapi.json"),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--generation-database", "none", *options),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS_OF_A_PIECE,
        cwd=folder,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert served.process.poll() is None
    assert "Traceback" not in served.log.read_text()
    found = re.search(r"(\d+) generated", finished.stdout)
    assert found, finished.stdout
    return int(found[1])


def test_our_openapi_document_is_true(served: Any, tmp_path: Path) -> None:
    cases = run(served, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "7")
    assert cases > 500


@pytest.mark.campaign
@pytest.mark.timeout(5400)
def test_our_openapi_document_is_true_in_ten_thousand_cases(served: Any, tmp_path: Path) -> None:
    cases = run(served, tmp_path, "--phases", "examples,coverage")
    print(f"{cases} cases of examples and coverage", flush=True)
    # Whoever draws thousands of examples at once draws ever larger ones, and says nothing until the last.
    for seed in range(MOST_PIECES):
        cases += run(served, tmp_path, "--phases", "fuzzing", "--max-examples", str(PIECE), "--seed", str(seed))
        print(f"{cases} cases after seed {seed}", flush=True)
        if cases >= 10_000:
            break
    assert cases >= 10_000
