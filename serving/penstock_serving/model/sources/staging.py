"""Where a model is put together before it becomes visible; it outlives a restart, so that a fetch resumes."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from penstock_serving.model.archive import Limits, discard, extract
from penstock_serving.model.digest import safe_path


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is being downloaded, with the validator (an ETag) of the version its bytes belong to."""

    content: Path
    validator: Path

    @property
    def size(self) -> int:
        """Bytes held so far."""
        return self.content.stat().st_size if self.content.exists() else 0

    def validated_by(self) -> str:
        """The validator of the bytes held, empty if unknown."""
        return self.validator.read_text() if self.validator.exists() else ""

    def restart(self, validator: str) -> None:
        """Forget the bytes held and expect those of `validator`."""
        self.content.unlink(missing_ok=True)
        self.validator.write_text(validator)

    def append(self, chunks: Iterable[bytes], limits: Limits) -> None:
        """Add chunks at the end; raises `BadModelError` beyond the limit of bytes."""
        held = self.size
        with self.content.open("ab") as out:
            for chunk in chunks:
                held += len(chunk)
                if held > limits.max_bytes:
                    raise limits.refuse_bytes()
                out.write(chunk)


@dataclass(frozen=True, slots=True)
class Staging:
    """One fetch's working folder: `tree` becomes the model, `parts` holds unfinished files."""

    root: Path
    limits: Limits

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def open(self) -> bool:
        """Make the folder; tell whether an earlier attempt left something in it."""
        resumed = self.root.exists()
        (self.root / "parts").mkdir(parents=True, exist_ok=True)
        return resumed

    def part(self, name: str) -> Part:
        """The unfinished file called `name`."""
        stem = self.root / "parts" / hashlib.sha256(name.encode()).hexdigest()
        return Part(stem, stem.with_suffix(".validator"))

    def has(self, path: str) -> bool:
        """Whether the tree holds `path` already."""
        return (self.tree / safe_path(path)).is_file()

    def keep(self, part: Part, path: str) -> None:
        """Move a finished part to its path in the tree."""
        target = self.tree / safe_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.content.touch()
        part.content.replace(target)
        part.validator.unlink(missing_ok=True)

    def unpack(self, part: Part, name: str) -> None:
        """Unpack a finished archive as the tree."""
        discard(self.tree)
        extract(part.content, name, self.tree, self.limits)

    def discard(self) -> None:
        """Remove everything."""
        discard(self.root)

    def publish(self, target: Path) -> None:
        """Make the tree visible as `target` in one step, after its bytes reached the disk."""
        for folder, _, files in os.walk(self.tree):
            for name in files:
                with Path(folder, name).open("rb") as written:
                    os.fsync(written.fileno())
        self.tree.rename(target)
        self.discard()
