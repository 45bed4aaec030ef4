"""A drawing surface of characters, each split into dots, with a frame of labelled axes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rich.text import Text

from penstock.cli.chart.axis import Tick
from penstock.cli.chart.charset import Charset

FRAME = "dim"


@dataclass(slots=True)
class Canvas:
    """`columns` × `rows` characters; places are parts of the width from the left and of the height from below."""

    columns: int
    rows: int
    charset: Charset
    masks: dict[tuple[int, int], int] = field(default_factory=dict)
    written: dict[tuple[int, int], str] = field(default_factory=dict)
    styles: dict[tuple[int, int], str] = field(default_factory=dict)

    def line(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """Straight lines from place to place."""
        across, down = self._dots()
        for (x0, y0), (x1, y1) in pairwise(points):
            steps = max(1, round(abs(x1 - x0) * across), round(abs(y1 - y0) * down))
            for i in range(steps + 1):
                self._dot(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps, style)

    def write(self, column: int, row: int, text: str, style: str) -> None:
        """Characters from a column on, `row` counted from above; what lies outside is cut off."""
        for i, character in enumerate(text):
            if 0 <= column + i < self.columns and 0 <= row < self.rows:
                self.written[column + i, row] = character
                self.styles[column + i, row] = style

    def shade(self, until: float) -> None:
        """Shade what lies left of a place."""
        for column in range(self.column(until)):
            for row in range(self.rows):
                self.write(column, row, self.charset.shade, FRAME)

    def across(self, place: float, style: str, label: str) -> None:
        """A dashed line at a height wherever nothing is drawn, `label` on its right end."""
        row = self.row(place)
        for column in range(self.columns):
            if (column, row) not in self.masks and (column, row) not in self.written:
                self.write(column, row, self.charset.dashed, style)
        self.write(self.columns - len(label), row, label, style)

    def down(self, place: float, style: str) -> None:
        """A line from top to bottom wherever nothing is drawn."""
        column = self.column(place)
        for row in range(self.rows):
            if (column, row) not in self.masks and (column, row) not in self.written:
                self.write(column, row, self.charset.vertical, style)

    def column(self, place: float) -> int:
        """The column of a place."""
        return min(self.columns - 1, max(0, int(place * self.columns)))

    def row(self, place: float) -> int:
        """The row, from above, of a place."""
        return min(self.rows - 1, max(0, int((1.0 - place) * self.rows)))

    def lines(self) -> list[Text]:
        """The drawing, row by row."""
        return [self._line(row) for row in range(self.rows)]

    def _line(self, row: int) -> Text:
        text = Text()
        for column in range(self.columns):
            cell = (column, row)
            glyph = self.written.get(cell, self.charset.glyphs[self.masks[cell]] if cell in self.masks else " ")
            text.append(glyph, self.styles.get(cell, ""))
        return text

    def _dots(self) -> tuple[int, int]:
        across, down = self.charset.dots
        return self.columns * across - 1, self.rows * down - 1

    def _dot(self, x: float, y: float, style: str) -> None:
        across, down = self._dots()
        if not (-0.001 <= x <= 1.001 and -0.001 <= y <= 1.001):
            return
        wide, high = self.charset.dots
        column, row = round(x * across), round((1.0 - y) * down)
        cell = (column // wide, row // high)
        self.masks[cell] = self.masks.get(cell, 0) | 1 << ((row % high) * wide + column % wide)
        if cell not in self.written:
            self.styles[cell] = style


def framed(canvas: Canvas, gutter: int, left: Sequence[Tick], below: Sequence[Tick]) -> list[Text]:
    """The drawing between a labelled axis on its left, `gutter` characters wide with its line, and one below."""
    labels = {canvas.row(tick.place): tick.label for tick in left}
    charset = canvas.charset
    lines = []
    for row, drawn in enumerate(canvas.lines()):
        stroke = charset.tick_left if row in labels else charset.vertical
        label = labels.get(row, "")[: gutter - 2].rjust(gutter - 2)
        lines.append(Text.assemble((f"{label} {stroke}", FRAME), drawn))
    return [*lines, *axis_below(canvas, gutter, below)]


def axis_below(canvas: Canvas, gutter: int, below: Sequence[Tick]) -> list[Text]:
    """The line below a drawing, and its labels."""
    charset = canvas.charset
    stroke, labels = [charset.horizontal] * canvas.columns, [" "] * (canvas.columns + gutter)
    for tick in below:
        column = canvas.column(tick.place)
        stroke[column] = charset.tick_below
        start = min(max(0, gutter + column - len(tick.label) // 2), gutter + canvas.columns - len(tick.label))
        labels[start : start + len(tick.label)] = tick.label
    corner = " " * (gutter - 1) + charset.corner
    return [Text(corner + "".join(stroke), FRAME), Text("".join(labels).rstrip(), FRAME)]
