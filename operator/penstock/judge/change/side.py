"""The direction of a change."""

from enum import Enum


class Side(Enum):
    """Above or below the reference."""

    ABOVE = "above"
    BELOW = "below"

    @property
    def sign(self) -> int:
        """+1 above, -1 below."""
        return 1 if self is Side.ABOVE else -1
