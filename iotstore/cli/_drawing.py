"""Tables, bars, sparklines and heat maps, as lists of lines."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from iotstore.cli._terminal import Terminal, clean, pad, shorten, width_of

_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKS_ASCII: Final = "_.-~=+*#"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_SHADES: Final = " ·░▒▓█"
_SHADES_ASCII: Final = " .:+*#"
_GAP: Final = "  "
_LEAST: Final = 6  # what a column that is cut keeps
_LEAST_WRAPPED: Final = 20


class Cell(NamedTuple):
    """A table cell with its styles."""

    text: str
    styles: tuple[str, ...] = ()


class Column(NamedTuple):
    """A table column: its heading, its side, and what may happen where the terminal is too narrow for it.

    A column that *shrinks* is cut, one that *wraps* goes on in the next line.
    """

    title: str
    align: str = "<"
    shrinks: bool = False
    wraps: bool = False


def table(
    terminal: Terminal, columns: Sequence[Column], rows: Iterable[Sequence[str | Cell]], indent: str = "  "
) -> list[str]:
    """The rows under their headings, aligned, cut to the width of the terminal where a column may shrink."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    cells = [[Cell(clean(cell.text), cell.styles) for cell in row] for row in cells]
    widths = [
        max([width_of(column.title), *(width_of(row[at].text) for row in cells)]) for at, column in enumerate(columns)
    ]
    _shrink(widths, columns, terminal.width - len(indent) - len(_GAP) * (len(columns) - 1))
    mark = terminal.pick("…", "~")
    lines: list[str] = []
    if any(column.title for column in columns):
        heads = [pad(shorten(c.title, w, mark), w, c.align) for c, w in zip(columns, widths, strict=True)]
        lines.append(indent + terminal.paint(_GAP.join(heads).rstrip(), "dim"))
    for row in cells:
        pieces = [
            textwrap.wrap(cell.text, width) or [""] if column.wraps else [shorten(cell.text, width, mark)]
            for cell, column, width in zip(row, columns, widths, strict=True)
        ]
        for texts in zip_longest(*pieces, fillvalue=""):
            shown = [
                terminal.paint(pad(text, width, column.align), *cell.styles) if text else " " * width
                for text, cell, column, width in zip(texts, row, columns, widths, strict=True)
            ]
            lines.append((indent + _GAP.join(shown)).rstrip())
    return lines


def _shrink(widths: list[int], columns: Sequence[Column], room: int) -> None:
    """Take what is too much from the widest of the columns that may shrink or wrap."""
    while sum(widths) > room:
        least = [_LEAST_WRAPPED if column.wraps else _LEAST for column in columns]
        yielding = [column.shrinks or column.wraps for column in columns]
        candidates = [at for at, width in enumerate(widths) if yielding[at] and width > least[at]]
        if not candidates:
            return
        widths[max(candidates, key=lambda at: widths[at])] -= 1


def sparkline(terminal: Terminal, values: Sequence[float | None], width: int | None = None) -> str:
    """The course of the values in one line of text; a missing value is a gap."""
    if width is not None and len(values) > width:
        values = _resample(values, width)
    known = [value for value in values if value is not None]
    if not known:
        return ""
    steps = terminal.pick(_SPARKS, _SPARKS_ASCII)
    low, high = min(known), max(known)
    spread = high - low
    if not spread or not math.isfinite(spread):
        return "".join(" " if value is None else steps[len(steps) // 2 - 1] for value in values)
    top = len(steps) - 1
    return "".join(" " if value is None else steps[round((value - low) / spread * top)] for value in values)


def _resample(values: Sequence[float | None], width: int) -> list[float | None]:
    """Means of *width* equal stretches of the values."""
    found: list[float | None] = []
    for at in range(width):
        part = values[at * len(values) // width : (at + 1) * len(values) // width]
        known = [value for value in part if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found


def bar(terminal: Terminal, share: float, width: int) -> str:
    """A horizontal bar of at most *width* columns for a share between 0 and 1; never invisible unless it is 0."""
    share = min(1.0, max(0.0, share))
    if not terminal.unicode:
        return "#" * max(round(share * width), 1 if share else 0)
    eighths = max(round(share * width * 8), 1 if share else 0)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[part] if part else "")


def shade(terminal: Terminal, value: float, most: float) -> str:
    """One character that is the darker the nearer *value* comes to *most*; a space is nothing at all."""
    steps = terminal.pick(_SHADES, _SHADES_ASCII)
    if value <= 0 or most <= 0:
        return steps[0]
    # The root brings out quiet hours beside a few loud ones.
    return steps[max(1, min(len(steps) - 1, math.ceil(math.sqrt(value / most) * (len(steps) - 1))))]


def facts(terminal: Terminal, pairs: Iterable[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Names and values, one pair to a line, the values under each other."""
    shown = [(clean(name), clean(value)) for name, value in pairs]
    widest = max((width_of(name) for name, _ in shown), default=0)
    room = terminal.width - len(indent) - widest - len(_GAP)
    mark = terminal.pick("…", "~")
    return [
        f"{indent}{terminal.paint(pad(name, widest), 'dim')}{_GAP}{shorten(value, max(room, _LEAST), mark)}"
        for name, value in shown
    ]
