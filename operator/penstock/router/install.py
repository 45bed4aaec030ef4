"""Brings configuration into Envoy in an order that never routes to what is not there, and knows when it is in force.

Clusters first, then routes, then listeners; each confirmed by Envoy before the next. When Envoy refuses a file, the
changed models are offered one by one: those it refuses keep what they had, all others get theirs.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from penstock.router.admin import Admin
from penstock.router.envoy.bootstrap import FILES
from penstock.router.envoy.listeners import HTTP_STATS
from penstock.router.envoy.parts import OURS, Kind, Part, Parts, compose
from penstock.router.envoy.routes import ROUTES
from penstock.router.journal import replace_file

CONFIRM_SECONDS = 5.0
"""How long Envoy may take to apply a file before it counts as refused."""
_FIRST_LOOK, _LONGEST_LOOK = 0.003, 0.025

_STATS = {
    Kind.CLUSTERS: "cluster_manager.cds",
    Kind.ROUTES: f"http.{HTTP_STATS}.rds.{ROUTES}",
    Kind.LISTENERS: "listener_manager.lds",
}
_WARMING = {
    Kind.CLUSTERS: "cluster_manager.warming_clusters",
    Kind.LISTENERS: "listener_manager.total_listeners_warming",
}


class Installer:
    """Writes Envoy's files in one folder. Not to be used by two tasks at once."""

    def __init__(self, folder: Path, admin: Admin) -> None:
        self._folder = folder
        self._admin = admin
        self._accepted: dict[Kind, Parts] = {kind: {} for kind in Kind}

    def begin(self, parts: Mapping[Kind, Parts]) -> None:
        """Take these parts for what Envoy has; files that are missing are written, others left alone."""
        for kind in Kind:
            if not (self._folder / FILES[kind]).exists():
                self._write(kind, parts[kind])
        self._accepted = {kind: dict(parts[kind]) for kind in Kind}

    async def install(self, parts: Mapping[Kind, Parts], first: frozenset[str]) -> Mapping[str, str]:
        """Bring these parts into force; the models that Envoy refused, with the reason.

        `first` are the models whose change may not wait for others. Raises EnvoyUnavailableError when Envoy cannot say
        what it did; the next call goes on from there.
        """
        refused: dict[str, str] = {}
        for kind in Kind:
            wanted = _held_back(parts[kind], self._accepted[kind], refused)
            refused |= await self._offer(kind, wanted, first)
        return refused

    async def verify(self) -> None:
        """After Envoy's start or ours: find out what it has. Where that is not what it should have, everything counts
        as changed at the next install. Raises EnvoyUnavailableError."""
        for kind in Kind:
            if self._asks(kind) and not await self._becomes(kind, compose(kind, self._accepted[kind])[1], None):
                self._accepted[kind] = {}

    def _asks(self, kind: Kind) -> bool:
        """Whether Envoy looks at this file: it reads routes only once a model's listener asks for them."""
        return kind is not Kind.ROUTES or any(name != OURS for name in self._accepted[Kind.LISTENERS])

    async def _offer(self, kind: Kind, wanted: Parts, first: frozenset[str]) -> dict[str, str]:
        had = self._accepted[kind]
        changed = [name for name in {*wanted, *had} if wanted.get(name) != had.get(name)]
        if not changed:
            return {}
        if await self._applied(kind, wanted):
            self._accepted[kind] = wanted
            return {}
        if len(changed) == 1:
            await self._applied(kind, had)
            return {changed[0]: _refusal(kind)}
        refused: dict[str, str] = {}
        for name in sorted(changed, key=lambda name: (name not in first, name)):
            one = _with(self._accepted[kind], name, wanted.get(name))
            if await self._applied(kind, one):
                self._accepted[kind] = one
            else:
                refused[name] = _refusal(kind)
        await self._applied(kind, self._accepted[kind])
        return refused

    async def _applied(self, kind: Kind, parts: Parts) -> bool:
        """Write a file and wait until Envoy has taken or refused it."""
        if not self._asks(kind):
            self._write(kind, parts)
            return True
        rejections = int((await self._stats(kind)).get(f"{_STATS[kind]}.update_rejected", "0"))
        return await self._becomes(kind, self._write(kind, parts), rejections)

    async def _becomes(self, kind: Kind, version: str, rejections: int | None) -> bool:
        """Whether Envoy gets to this version before it has refused more files than so many, or takes too long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CONFIRM_SECONDS
        wait = _FIRST_LOOK
        while loop.time() < until:
            stats = await self._stats(kind)
            if stats.get(f"{_STATS[kind]}.version_text") == version and stats.get(_WARMING.get(kind, ""), "0") == "0":
                return True
            refused = int(stats.get(f"{_STATS[kind]}.update_rejected", "0"))
            if refused > (0 if rejections is None else rejections):
                return False
            await asyncio.sleep(wait)
            wait = min(1.5 * wait, _LONGEST_LOOK)
        return False

    def _write(self, kind: Kind, parts: Parts) -> str:
        text, version = compose(kind, parts)
        path = self._folder / FILES[kind]
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)
        return version

    async def _stats(self, kind: Kind) -> dict[str, str]:
        names = "|".join(re.escape(name) for name in (_STATS[kind], _WARMING.get(kind)) if name)
        text = await self._admin.get(f"/stats?filter={quote(f'^({names})')}")
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: value.strip('"') for name, _, value in pairs}


def _refusal(kind: Kind) -> str:
    hint = "is another process on its port? " if kind is Kind.LISTENERS else ""
    return f"Envoy refuses its {kind.name.lower()}: {hint}Envoy's own log says why; it is offered again by and by"


def _held_back(wanted: Parts, had: Parts, refused: Mapping[str, str]) -> Parts:
    """What is wanted, except that models refused so far keep what they had."""
    parts: dict[str, Part] = {name: part for name, part in wanted.items() if name not in refused}
    return parts | {name: had[name] for name in refused if name in had}


def _with(parts: Parts, name: str, part: Part | None) -> Parts:
    others = {own: kept for own, kept in parts.items() if own != name}
    return others if part is None else others | {name: part}
