"""What is read from a Dockerfile decides what is built and when a cached image is still good."""

from pathlib import Path

import pytest

from localcluster.base import release_of
from localcluster.dockerfile import plan
from localcluster.errors import RefusalError

NATIVE = Path("serving/native")
DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG BASE=debian:bookworm-slim
FROM envoyproxy/envoy:v1.36.2 AS router-stock
COPY stock.yaml /etc/

FROM ${BASE} AS python
RUN apt-get update && \\
    # a comment between continued lines
    apt-get install python3
COPY requirements/operator.lock pyproject.toml /src/

FROM python AS wheels
COPY --chown=0:0 operator /src/operator
RUN <<END
# part of the script
pip wheel /src
END

FROM python AS operator
COPY --from=wheels /wheels /wheels
COPY ["crds", "/crds/"]

FROM python AS serving
COPY serving /src/serving
"""


@pytest.mark.parametrize(
    ("target", "stages", "bases", "sources"),
    [
        ("router-stock", ["router-stock"], ["envoyproxy/envoy:v1.36.2"], ["stock.yaml"]),
        (
            "operator",
            ["python", "wheels", "operator"],
            ["debian:bookworm-slim"],
            ["crds", "operator", "pyproject.toml", "requirements/operator.lock"],
        ),
        (
            "serving",
            ["python", "serving"],
            ["debian:bookworm-slim"],
            ["pyproject.toml", "requirements/operator.lock", "serving"],
        ),
    ],
)
def test_a_target_needs_only_its_own_stages(
    target: str, stages: list[str], bases: list[str], sources: list[str]
) -> None:
    needed = plan(DOCKERFILE, target=target)
    assert [stage.name for stage in needed.stages] == stages
    assert needed.bases() == bases
    assert needed.sources() == sources


def test_a_wheel_of_the_native_lane_goes_into_the_image_that_serves_and_nothing_that_cargo_writes_into_any() -> None:
    content = (Path(__file__).parents[2] / "Dockerfile").read_text()
    native = {
        target: [source for source in plan(content, target=target).sources() if _meets(Path(source), NATIVE)]
        for target in ("operator", "serving", "router")
    }
    assert native == {"operator": [], "serving": ["serving/native/wheels"], "router": []}


def _meets(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def test_the_pruned_dockerfile_keeps_scripts_and_arguments_and_plans_the_same() -> None:
    pruned = plan(DOCKERFILE, target="operator")
    assert "# part of the script\npip wheel /src\nEND" in pruned.text()
    assert pruned.text().startswith("ARG BASE=debian:bookworm-slim\nFROM ${BASE} AS python\n")
    assert plan(pruned.text(), target="operator") == pruned


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RefusalError, match="no target 'gateway'; it has: router-stock, python, wheels"):
        plan(DOCKERFILE, target="gateway")


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("debian:bookworm-slim", "bookworm"),
        ("docker.io/library/debian:trixie", "trixie"),
        ("library/debian:sid-slim", "sid"),
    ],
)
def test_a_debian_base_can_be_made_without_a_registry(image: str, release: str) -> None:
    assert release_of(image) == release


@pytest.mark.parametrize(
    "image", ["python:3.12-slim", "debian", "example.com/debian:bookworm", "debian:bookworm@sha256:00"]
)
def test_another_base_is_refused_by_name(image: str) -> None:
    with pytest.raises(RefusalError, match="the Dockerfile starts from"):
        release_of(image)
