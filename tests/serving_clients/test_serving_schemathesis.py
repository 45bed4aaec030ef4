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


def run(served: Any, folder: Path, examples: int) -> int:
    """Test every operation; return how many cases there were."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.http}/v2/openapi.json"),
            *("--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", "7"),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
        ],
        capture_output=True,
        text=True,
        timeout=3000,
        cwd=folder,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert served.process.poll() is None
    assert "Traceback" not in served.log.read_text()
    found = re.search(r"(\d+) generated", finished.stdout)
    assert found, finished.stdout
    return int(found[1])


def test_our_openapi_document_is_true(served: Any, tmp_path: Path) -> None:
    assert run(served, tmp_path, 10) > 500


@pytest.mark.campaign
def test_our_openapi_document_is_true_in_ten_thousand_cases(served: Any, tmp_path: Path) -> None:
    assert run(served, tmp_path, 2200) >= 10_000
