"""The refusal of a manifest: every problem in one line that names the field and the remedy."""

import reprlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a manifest.

    `field` is its path, such as `spec.rollout.steps[1].weight`; `says` what is wrong and what to write instead.
    """

    field: str
    says: str

    def __str__(self) -> str:
        return f"{self.field}: {self.says}" if self.field else self.says


class BadManifestError(ValueError):
    """A manifest that cannot be used as it stands; `str()` gives one line for each problem."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def shown(value: object) -> str:
    """A value as a message shows it: in one line, the middle of a long one left out."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)
