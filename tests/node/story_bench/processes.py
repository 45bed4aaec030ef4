"""The processes of the node's containers, as this machine sees them."""

from pathlib import Path

from story_bench.story import Json


def process_of(pod: Json, *words: str) -> int | None:
    """The process in a pod whose command line holds these words one after the other; None while there is none."""
    command = b"\0".join(word.encode() for word in words)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"pod{pod['metadata']['uid']}" in (entry / "cgroup").read_text()
            if ours and command in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None
