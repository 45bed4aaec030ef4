"""The rows that a proof asks: the reference's own, and those that a wrong conversion is most likely to get wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock_serving.compile.candidates import Cell, cell, special
from penstock_serving.compile.emit.registry import Compiled
from penstock_serving.compile.opening import probe
from penstock_serving.compile.witness import Change, changes
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature

MAX_ROWS = 60_000
REFERENCE = "reference"
_BASE_ROWS = 1_000
_PLAIN_ROWS = 10_000
_MIXED_ROWS = 6_000


@dataclass(frozen=True, slots=True)
class ProofRows:
    """Rows [rows, columns] as the server hands them to a model, the kind of each, and how many splits they visit."""

    matrix: Matrix
    kinds: Matrix
    splits: int
    visited: int

    def counts(self) -> tuple[tuple[str, int], ...]:
        """How many rows there are of each kind."""
        names, counts = np.unique(self.kinds, return_counts=True)
        return tuple(zip(names.tolist(), counts.tolist(), strict=True))


def proof_rows(compiled: Compiled, signature: Signature, reference: Matrix, kind: str = REFERENCE) -> ProofRows:
    """Build the rows; deterministic, at most about `MAX_ROWS`. `kind` is what the reference rows are called.

    In order: reference rows; rows with one special value in one column; rows with such values in many columns at once;
    rows at every split of every tree (evenly thinned where there are too many).
    """
    base = reference[spread(len(reference), _BASE_ROWS)]
    values = [
        special(column, compiled.values.get(index, frozenset()), base[:, index])
        for index, column in enumerate(signature.columns)
    ]
    singles = singly(values, len(base), max(40, _PLAIN_ROWS // max(len(values), 1)))
    plans = _splits(compiled, signature, base)
    tried = [plan for plan in plans if plan]
    each = sum(len(plan) for plan in tried) / max(len(tried), 1)
    kept = [tried[at] for at in spread(len(tried), int(MAX_ROWS / max(each, 1)))]
    at_splits = [change for plan in kept for change in plan]
    parts = {
        kind: reference[spread(len(reference), _PLAIN_ROWS)],
        "one special value": changed(base, singles, signature),
        "many special values": _mixed(base, values, at_splits, signature),
        "at a split": changed(base, at_splits, signature),
    }
    kinds = np.concatenate([np.full(len(rows), kind) for kind, rows in parts.items()])
    return ProofRows(np.concatenate(list(parts.values())), kinds, len(plans), len(kept))


def spread(count: int, most: int) -> Matrix:
    """At most `most` positions out of `count`, evenly spread."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def singly(values: Sequence[Sequence[Cell]], rows: int, each: int) -> list[Change]:
    """Changes that put each column's values, evenly thinned to `each`, one at a time into base rows, of which there are
    so many."""
    return [
        Change((number * 7 + index) % rows, index, column[at])
        for index, column in enumerate(values)
        for number, at in enumerate(spread(len(column), each))
    ]


def _splits(compiled: Compiled, signature: Signature, base: Matrix) -> list[tuple[Change, ...]]:
    if not compiled.splits:
        return []
    features = probe(compiled.probed(), compiled.plan, signature, base, [one.block.tensor for one in compiled.splits])
    return [plan for one, read in zip(compiled.splits, features, strict=True) for plan in changes(one, read, signature)]


def changed(base: Matrix, wanted: Sequence[Change], signature: Signature) -> Matrix:
    """A row [columns] of `base` for each change, with that made in it."""
    rows = base[[change.row for change in wanted]] if wanted else base[:0]
    for at, change in enumerate(wanted):
        rows[at, change.column] = _cell(change.value, signature, change.column)
    return rows


def _cell(value: Cell, signature: Signature, column: int) -> Cell:
    return value if signature.is_numeric else cell(value, signature.columns[column])


def _mixed(
    base: Matrix, special: Sequence[Sequence[Cell]], at_splits: Sequence[Change], signature: Signature
) -> Matrix:
    """Rows that hold, in about half of their columns, values from splits, known categories, and missing ones."""
    rng = np.random.default_rng(0)
    rows = base[rng.integers(0, len(base), _MIXED_ROWS)]
    pools: list[list[Cell]] = [[] for _ in special]
    for change in at_splits:
        pools[change.column].append(change.value)
    for index, (pool, values) in enumerate(zip(pools, special, strict=True)):
        choices = [*dict.fromkeys(pool), *(value for value in values if _is_ordinary(value))]
        if not choices:
            continue
        places = rng.permutation(_MIXED_ROWS)[: _MIXED_ROWS // 2]
        order = rng.permutation(len(choices))
        for number, place in enumerate(places):
            rows[place, index] = _cell(choices[order[number % len(choices)]], signature, index)
    return rows


def _is_ordinary(value: Cell) -> bool:
    """Whether a value is no number so large that the whole row would be refused."""
    return not isinstance(value, int | float) or value != value or abs(value) < 1e30
