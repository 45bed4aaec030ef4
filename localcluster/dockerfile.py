"""Reads a Dockerfile as far as building one target without a registry takes: stages, bases, copied files.

Reference: the Dockerfile reference, sections FROM, ARG, COPY and ADD.
"""

import re
from dataclasses import dataclass

from localcluster.errors import RefusalError

FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
ARG = re.compile(r"^ARG\s+(\w+)(?:=(\S+))?\s*$", re.IGNORECASE)
COPY = re.compile(r"^(?:COPY|ADD)\s+(.+)$", re.IGNORECASE)
FLAG = re.compile(r"--([\w-]+)=(\S+)")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Stage:
    """One build stage: its name (or number), what it starts from, and its instructions with the FROM line first."""

    name: str
    base: str
    instructions: tuple[str, ...]

    def copied_from(self) -> set[str]:
        """The stages and images that files are copied from."""
        return {value for text in self.instructions for flag, value in FLAG.findall(text) if flag == "from"}

    def sources(self) -> list[str]:
        """Paths, with wildcards, of what is copied from the build context."""
        found: list[str] = []
        for text in self.instructions:
            match = COPY.match(text)
            if match is None or "--from=" in text:
                continue
            words = [word.strip('[],"') for word in match[1].split() if not word.startswith("--")]
            found += [word for word in words[:-1] if "://" not in word]
        return found


@dataclass(frozen=True, slots=True)
class Build:
    """The stages that one target needs, in order, with the arguments declared before the first of them."""

    preamble: tuple[str, ...]
    stages: tuple[Stage, ...]

    def bases(self) -> list[str]:
        """Images that must exist before the build."""
        own = {stage.name for stage in self.stages} | {"scratch"}
        wanted = [stage.base for stage in self.stages]
        wanted += sorted(name for stage in self.stages for name in stage.copied_from())
        return [name for name in dict.fromkeys(wanted) if name not in own and not name.isdecimal()]

    def sources(self) -> list[str]:
        """Everything that is copied from the build context."""
        return sorted({source for stage in self.stages for source in stage.sources()})

    def text(self) -> str:
        """A Dockerfile of these stages alone."""
        instructions = [text for stage in self.stages for text in stage.instructions]
        return "\n".join([*self.preamble, *instructions]) + "\n"


def plan(content: str, *, target: str) -> Build:
    """What the target needs.

    Raises RefusalError when the Dockerfile has no such target.
    """
    preamble, stages = _parsed(content)
    by_name = {stage.name: stage for stage in stages}
    if target not in by_name:
        raise RefusalError(f"the Dockerfile has no target {target!r}; it has: {', '.join(by_name)}")
    needed: set[str] = set()
    open_names = [target]
    while open_names:
        name = open_names.pop()
        stage = by_name.get(name)
        if stage is not None and name not in needed:
            needed.add(name)
            open_names += [stage.base, *stage.copied_from()]
    return Build(tuple(preamble), tuple(stage for stage in stages if stage.name in needed))


def _parsed(content: str) -> tuple[list[str], list[Stage]]:
    preamble: list[str] = []
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for text in _instructions(content):
        start = FROM.match(text)
        if start is not None:
            name = start[2] or str(len(stages))
            stages.append(Stage(name, _filled(start[1], arguments), (text,)))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.instructions, text))
        else:
            preamble.append(text)
            declared = ARG.match(text)
            if declared is not None and declared[2] is not None:
                arguments[declared[1]] = declared[2].strip("\"'")
    return preamble, stages


def _instructions(content: str) -> list[str]:
    """Instructions with continuation lines kept; comments and blank lines outside of here-documents dropped."""
    found: list[str] = []
    pending: list[str] = []
    heredoc: str | None = None
    for text in content.splitlines():
        if heredoc is not None:
            pending.append(text)
            if text.strip() == heredoc:
                heredoc = None
                found.append("\n".join(pending))
                pending = []
            continue
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        pending.append(text)
        opened = re.search(r"<<-?[\"']?(\w+)[\"']?", text)
        if opened is not None:
            heredoc = opened[1]
        elif not text.rstrip().endswith("\\"):
            found.append("\n".join(pending))
            pending = []
    return found


def _filled(text: str, arguments: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return arguments.get(match[1] or match[3], match[2] or "")

    return VARIABLE.sub(value, text)
