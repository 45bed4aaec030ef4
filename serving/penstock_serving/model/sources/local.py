"""Models that are there already: baked into an image, or on a mounted volume."""

from pathlib import Path

from penstock_serving import contract
from penstock_serving.model.archive import discard, extract, is_archive
from penstock_serving.model.digest import chunks, open_regular, unreadable, walk
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.sources.staging import Staging


def fetch_local(source: Path, shown: str, staging: Staging) -> None:
    """Copy the directory, or unpack the archive, `source`; `shown` names it in messages."""
    try:
        there = source.exists()
    except OSError as error:
        raise unreadable(error) from error
    if not there:
        raise BadModelError(
            contract.REASON_NOT_FOUND,
            f"{shown} does not exist where the model is fetched; check the path, and that the volume or image holds it",
        )
    if source.is_dir():
        _copy(source, staging)
    elif is_archive(source.name):
        discard(staging.tree)
        extract(source, source.name, staging.tree, staging.limits)
    else:
        raise BadModelError(
            contract.REASON_NOT_A_MODEL,
            f"{shown} is neither a directory nor a .tar.gz, .tgz, .tar or .zip archive of a packaged model",
        )


def _copy(source: Path, staging: Staging) -> None:
    discard(staging.tree)
    staging.tree.mkdir()
    for number, path in enumerate(walk(source), 1):
        if number > staging.limits.max_files:
            raise staging.limits.refuse_files()
        part = staging.part(path)
        part.restart("")
        with open_regular(source / path) as stream:
            part.append(chunks(stream), staging.limits)
        staging.keep(part, path)
