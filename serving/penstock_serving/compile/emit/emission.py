"""The state of one compilation: the graph, the codes of text, and the trees whose splits the proof must visit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from penstock_serving.compile.emit.answers import Answers
from penstock_serving.compile.emit.block import Affine, Block, Bound, Feature, Kind
from penstock_serving.compile.emit.exact import name_of, require_plain
from penstock_serving.compile.emit.graph import Graph
from penstock_serving.compile.emit.tree import Tree
from penstock_serving.compile.errors import NotCompiledError
from penstock_serving.compile.plan import INPUT, TextColumn
from penstock_serving.model.frame import Matrix
from penstock_serving.model.series import Missing
from penstock_serving.model.signature import Label, Signature

Transformer = Callable[["Emission", Any, Block], Block]
Predictor = Callable[["Emission", Any, Block], Answers]


@dataclass(frozen=True, slots=True)
class Splits:
    """Trees that read one block, and their values [nodes, …]: what the proof needs to visit every split on both sides."""

    block: Block
    trees: tuple[Tree, ...]
    values: tuple[Matrix, ...]


@dataclass(slots=True)
class Emission:
    """One compilation. `transformers` are the allow-listed transforming steps by exact type; those of the types `composed`
    hand the columns of a DataFrame on to their own steps."""

    graph: Graph
    signature: Signature
    transformers: Mapping[type, Transformer]
    composed: frozenset[type] = frozenset()
    splits: list[Splits] = field(default_factory=list)
    values: dict[int, set[Label | None]] = field(default_factory=dict)
    _codes: dict[int, dict[str | None, int]] = field(default_factory=dict)

    def input(self) -> Block:
        """The block that a caller's matrix enters as."""
        features = tuple(
            Feature(index if column.is_text else None, None if column.is_text else Affine(index, 1.0, 0.0))
            for index, column in enumerate(self.signature.columns)
        )
        return Block(INPUT, features, self._kind(), Bound(1.0, 0.0))

    def _kind(self) -> Kind:
        if self.signature.is_frame:
            return Kind.FRAME
        if self.signature.has_single_precision:
            return Kind.SINGLE
        return Kind.DOUBLE if self.signature.is_numeric else Kind.OBJECT

    def as_array(self, block: Block) -> Block:
        """The block as scikit-learn makes an array of it where it was columns of a DataFrame until now."""
        if block.kind is not Kind.FRAME:
            return block
        if block.has_text:
            return replace(block, kind=Kind.OBJECT)
        columns = [self.signature.columns[feature.origin.column].series for feature in block.features if feature.origin]
        common = np.result_type(*(series.dtype.lower().replace("boolean", "bool") for series in columns if series))
        return replace(block, kind=Kind.SINGLE if common == np.float32 else Kind.DOUBLE)

    def transform(self, estimator: Any, block: Block) -> Block:
        """Append one transforming step. Raises `NotCompiledError` for a type that is not on the allow-list."""
        emit = self.transformers.get(type(estimator))
        if emit is None:
            raise NotCompiledError(f"a {name_of(estimator)} as a transforming step is not compiled")
        require_plain(estimator)
        fitted = getattr(estimator, "n_features_in_", block.width)
        if fitted != block.width:
            raise NotCompiledError(f"the {name_of(estimator)} was fitted on another number of columns than it is given")
        return emit(self, estimator, block if type(estimator) in self.composed else self.as_array(block))

    def code(self, column: int, value: Any) -> float:
        """The code of a value of a text column; NaN for what no request can hold there."""
        if not (isinstance(value, str) or self.is_missing(column, value)):
            return float("nan")
        codes = self._codes.setdefault(column, {})
        text = str(value) if isinstance(value, str) else None
        return float(codes.setdefault(text, len(codes)))

    def is_missing(self, column: int, value: object) -> bool:
        """Whether a value is what stands in a text column, as the model sees it, where a caller's value is missing."""
        series = self.signature.columns[column].series
        if series is None or series.missing is Missing.NONE:
            return value is None
        return is_nan(value)

    def notice(self, column: int, value: Label | None) -> None:
        """Remember a value of an input column that decides something, for the proof's rows."""
        self.values.setdefault(column, set()).add(value)

    def text_columns(self) -> tuple[TextColumn, ...]:
        """The codes of the text columns that are used; of the others every value enters as NaN."""
        return tuple(
            TextColumn(index, tuple(self._codes.get(index, {})))
            for index, column in enumerate(self.signature.columns)
            if column.is_text
        )

    def require_numbers(self, estimator: Any, block: Block) -> None:
        """Raise `NotCompiledError` where a step that computes is given text."""
        if block.has_text:
            raise NotCompiledError(f"the {name_of(estimator)} is given text columns")


def is_nan(value: object) -> bool:
    """Whether a category or a marker is a NaN of any floating type."""
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
