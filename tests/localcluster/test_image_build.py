"""Images are built once per content, without a registry, and a killed build is not in the way of the next."""

import shutil
from pathlib import Path

import pytest

from localcluster import base
from localcluster.building import Request, build
from localcluster.errors import RefusalError, StepError
from localcluster.places import cache_root
from localcluster.progress import Progress
from tests.localcluster.waiting import until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
TIER = "node"

DOCKERFILE = """\
FROM debian:bookworm-slim AS tool
COPY words/*.txt /words/
RUN cat /words/*.txt > /all && grep -q one /all
USER 65532
"""


STEP = "sleep 271.25"


def step_runs():
    """Whether the step of the build that is to be killed runs anywhere on this machine."""
    lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
    try:
        return any(line == STEP.replace(" ", "\0").encode() + b"\0" for line in lines)
    except (FileNotFoundError, ProcessLookupError):  # one ended meanwhile
        return step_runs()


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "context"
    (folder / "words").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "words" / "one.txt").write_text("one\n")
    (folder / "unrelated").write_text("not copied\n")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A cache with nothing but the Debian base, which takes longest to make."""
    real = cache_root() / "images"
    real.mkdir(parents=True, exist_ok=True)
    progress = Progress(cache_root() / "durations.json")
    scratch = tmp_path_factory.mktemp("images")
    tree = base.ensure("bookworm", folder=real, state=scratch, progress=progress)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(scratch / "cache"))
        (scratch / "cache" / "images").mkdir(parents=True)
        (scratch / "cache" / "images" / tree.name).hardlink_to(tree)
        yield scratch / "cache" / "images"


@pytest.fixture
def make(context, images, tmp_path):
    """Builds the target and returns (archive, whether it was built anew)."""

    def run(name="docker.io/penstock/tool:test"):
        before = set(images.glob("*tool*.tar"))
        request = Request(name, "tool", context / "Dockerfile", context)
        archive = build(request, state=tmp_path, progress=Progress(tmp_path / "durations.json"))
        return archive, archive not in before

    return run


def test_an_image_is_built_again_only_when_something_that_goes_into_it_changes(make, context):
    first, built = make()
    assert built
    assert make() == (first, False)
    (context / "unrelated").write_text("changed, but not copied\n")
    assert make() == (first, False)
    (context / "words" / "two.txt").write_text("two\n")
    second, built = make()
    assert built
    assert second != first
    (context / "words" / "two.txt").unlink()
    assert make() == (first, False)


def test_a_failing_instruction_fails_the_build_with_its_output(make, context, images):
    (context / "words" / "one.txt").write_text("another\n")
    with pytest.raises(StepError, match="grep -q one"):
        make()
    assert not any(images.glob("*tool*partial*.tar"))


def test_a_copied_file_that_is_not_there_is_named(make, context):
    shutil.rmtree(context / "words")
    with pytest.raises(RefusalError, match=r"the Dockerfile copies words/\*\.txt, which is not in"):
        make()


def test_what_a_killed_build_left_is_cleared_away(commands, context, images):
    (context / "Dockerfile").write_text(DOCKERFILE.replace("USER", f"RUN {STEP}\nUSER"))
    arguments = ("--tag", "docker.io/penstock/slow:test", "--target", "tool", str(context))

    commands.kill("image build", when=step_runs, arguments=arguments)
    until(lambda: not step_runs(), within=20)
    assert commands.run("down")[0] == 0
    assert commands.left() == []
    assert not any(str(images) in line for line in Path("/proc/self/mountinfo").read_text().splitlines())
    (context / "Dockerfile").write_text(DOCKERFILE)
    code, said = commands.run("image build", arguments=arguments)
    assert code == 0, said
    assert [path for path in images.iterdir() if "partial" in path.name] == []
