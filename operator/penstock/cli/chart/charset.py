"""Characters that an output can show: braille and blocks where it speaks Unicode, plain ASCII where it does not."""

import io
from dataclasses import dataclass
from typing import TextIO, cast

from rich.console import Console

_PLAIN = str.maketrans(
    {"×": "x", "…": "...", "–": "-", "—": "-", "·": "|", "→": "->", "≤": "<=", "≥": ">=", "−": "-", "≈": "~", "’": "'"}
)


@dataclass(frozen=True, slots=True)
class Charset:
    """The characters that charts are drawn with.

    `dots` are columns and rows of dots within one character; `glyphs[m]` shows the dots of bit mask m, dot (column, row)
    being bit row × columns + column.
    """

    dots: tuple[int, int]
    glyphs: str
    vertical: str
    horizontal: str
    corner: str
    tick_left: str
    tick_below: str
    dashed: str
    bar: str
    middle: str
    onward: str
    shade: str
    levels: str


def _braille() -> str:
    """Braille patterns by our order of dots: Unicode numbers the left column 1 2 3 7, the right one 4 5 6 8."""
    bits = (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)
    return "".join(chr(0x2800 + sum(bit for i, bit in enumerate(bits) if mask >> i & 1)) for mask in range(256))


UNICODE = Charset((2, 4), _braille(), "│", "─", "└", "┤", "┬", "╌", "━", "●", "▶", "░", " ▁▂▃▄▅▆▇█")
ASCII = Charset((1, 2), " '.:", "|", "-", "+", "+", "+", "-", "=", "o", ">", ":", " ..::--##")


def charset_of(encoding: str | None) -> Charset:
    """What an output of that encoding can show."""
    return UNICODE if (encoding or "ascii").lower().replace("-", "").startswith("utf") else ASCII


def plain(text: str) -> str:
    """The text in ASCII: known signs by their usual substitutes, others as question marks."""
    return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")


class PlainStream(io.TextIOBase):
    """A text stream over one that can only take ASCII; everything written is made so."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """ASCII."""
        return "ascii"

    def write(self, text: str) -> int:
        """Write the text in ASCII."""
        return self._stream.write(plain(text))

    def flush(self) -> None:
        """Flush the stream beneath."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person is watching."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor beneath."""
        return self._stream.fileno()


def console_on(stream: TextIO) -> Console:
    """A console on a stream; where that speaks no Unicode, everything is reduced to ASCII."""
    speaks = charset_of(getattr(stream, "encoding", None)) is UNICODE
    return Console(file=stream if speaks else cast("TextIO", PlainStream(stream)), highlight=False, soft_wrap=False)
