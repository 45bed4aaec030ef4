"""What flows between the steps of a pipeline while it is compiled: a tensor, and what is known about its columns."""

from dataclasses import dataclass
from enum import Enum

from penstock_serving.model.signature import Label


class Kind(Enum):
    """The dtype in which scikit-learn holds the same values; decides how it rounds and what it refuses."""

    DOUBLE = "float64"
    SINGLE = "float32"
    OBJECT = "object"
    FRAME = "DataFrame"
    """Every column in a dtype of its own, until a step makes an array of them."""


@dataclass(frozen=True, slots=True)
class Affine:
    """The feature is close to `scale * x + shift` of an input column x."""

    column: int
    scale: float
    shift: float

    def inverse(self, value: float) -> float:
        """The input at which the feature has (nearly) this value."""
        return (value - self.shift) / self.scale

    def then(self, scale: float, shift: float) -> "Affine | None":
        """The origin of `scale * feature + shift`."""
        return Affine(self.column, self.scale * scale, self.shift * scale + shift) if scale else None


@dataclass(frozen=True, slots=True)
class Coded:
    """The feature is the position of an input column's value in `values`."""

    column: int
    values: tuple[Label | None, ...]


@dataclass(frozen=True, slots=True)
class Indicator:
    """The feature is 1 where an input column holds one of `ones`, 0 where one of `zeros`; None is a missing value."""

    column: int
    ones: tuple[Label | None, ...]
    zeros: tuple[Label | None, ...]


Origin = Affine | Coded | Indicator


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: for text the input column whose codes it holds (else None), and where its values come from."""

    text: int | None
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class Bound:
    """|value| <= gain * (largest magnitude in the row) + offset, for finite rows."""

    gain: float
    offset: float

    def largest_input(self, limit: float) -> float:
        """The magnitude of inputs up to which the values surely stay within `limit`."""
        return max(0.0, (limit - self.offset) / self.gain) if self.gain else (0.0 if self.offset > limit else limit)

    def either(self, other: "Bound") -> "Bound":
        return Bound(max(self.gain, other.gain), max(self.offset, other.offset))


@dataclass(frozen=True, slots=True)
class Block:
    """A float64 tensor [rows, columns] in the graph and its columns."""

    tensor: str
    features: tuple[Feature, ...]
    kind: Kind
    bound: Bound

    @property
    def width(self) -> int:
        return len(self.features)

    @property
    def has_text(self) -> bool:
        return any(feature.text is not None for feature in self.features)
