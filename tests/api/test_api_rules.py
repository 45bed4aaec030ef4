"""Every manifest of fixtures/ against the models: what the API server refuses, a file is refused for too, as clearly.

Each file holds what a refusal must say, an accepted manifest and a refused one.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock.api import BadManifestError, load
from penstock.api.live import read
from penstock.api.modelrevision import ModelRevision
from penstock.api.router import Router

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.yaml"))
ABOUT_ONE_MANIFEST = [path for path in FIXTURES if not path.stem.endswith("-immutable")]
KINDS = {"ModelRevision": ModelRevision, "Router": Router}


def parts(fixture: Path) -> tuple[dict[str, Any], str, str]:
    head, accepted, refused = fixture.read_text().split("---\n")
    return yaml.safe_load(head), accepted, refused


def check(text: str) -> None:
    document = yaml.safe_load(text)
    if document["kind"] == "ModelDeployment":
        load(text)
    else:
        read(KINDS[document["kind"]], document)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_the_accepted_manifest_is_read(fixture: Path) -> None:
    _, accepted, _ = parts(fixture)
    check(accepted)


@pytest.mark.parametrize("fixture", ABOUT_ONE_MANIFEST, ids=lambda path: path.stem)
def test_the_refused_manifest_is_refused_with_field_and_remedy_in_one_line(fixture: Path) -> None:
    head, _, refused = parts(fixture)
    with pytest.raises(BadManifestError) as refusal:
        check(refused)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 1, lines
    for text in (*head["says"], *head.get("cliSays", ())):
        assert text in lines[0]
