"""The terminal as the commands see it: where lines go, how wide it is, what it can show."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from typing import Final, TextIO

_SAMPLE: Final = "█▁▇━─│·…●▲"
_STYLES: Final[Mapping[str, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
}
_LOOKALIKES: Final[Mapping[str, str]] = {"°": "o", "µ": "u", "²": "2", "³": "3", "…": "~"}
_NARROWEST: Final = 40
_WIDEST: Final = 100  # longer lines are hard to read, however wide the window is
_WITHOUT_A_TERMINAL: Final = 80


class Terminal:
    """A text stream with its abilities: *tty*, *width*, *unicode* and *colour*.

    Colour is used only on a terminal, never with ``NO_COLOR`` or ``TERM=dumb``. A stream whose encoding can't hold
    the drawing characters gets ASCII, and what it can't write at all becomes a question mark instead of an error.
    """

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.stream: TextIO = sys.stdout if stream is None else stream
        settings = os.environ if environ is None else environ
        self.encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self.unicode = _can_encode(_SAMPLE, self.encoding)
        self.tty = _is_a_terminal(self.stream)
        dumb = settings.get("TERM") == "dumb"
        self.colour = self.tty and not dumb and not settings.get("NO_COLOR")
        self.moves = self.tty and not dumb  # a line can be drawn over itself
        self.width = self._width(settings)
        self._begun = False

    def _width(self, settings: Mapping[str, str]) -> int:
        told = settings.get("COLUMNS", "")
        if told.isdecimal() and int(told):
            columns = int(told)
        elif self.tty:
            try:
                columns = os.get_terminal_size(self.stream.fileno()).columns or _WITHOUT_A_TERMINAL
            except OSError:
                columns = shutil.get_terminal_size((_WITHOUT_A_TERMINAL, 24)).columns
        else:
            columns = _WITHOUT_A_TERMINAL
        return max(_NARROWEST, min(_WIDEST, columns))

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text.rstrip() + "\n")

    def lines(self, texts: list[str]) -> None:
        """Write several lines."""
        for text in texts:
            self.line(text)

    def write(self, text: str) -> None:
        """Write *text* as far as the stream's encoding can hold it, and let it be seen at once."""
        if not _can_encode(text, self.encoding):
            text = "".join(_nearest(character, self.encoding) for character in text)
        self._begun = True
        self.stream.write(text)
        self.stream.flush()

    def paint(self, text: str, *styles: str) -> str:
        """The text in these styles (``bold``, ``dim``, a colour), or as it is where there is no colour."""
        codes = ";".join(_STYLES[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if codes and text and self.colour else text

    def title(self, text: str, note: str = "") -> None:
        """A heading with a quiet *note* behind it, and an empty line before it unless it is the first."""
        if self._begun:
            self.line()
        self.line(self.paint(text, "bold") + (self.paint(f"  {note}", "dim") if note else ""))

    @property
    def narrow(self) -> bool:
        """Whether drawings should take less room."""
        return self.width < _WITHOUT_A_TERMINAL - 4

    def pick(self, fancy: str, plain: str) -> str:
        """*fancy* where the stream can show it, *plain* ASCII elsewhere."""
        return fancy if self.unicode else plain


def width_of(text: str) -> int:
    """How many columns the text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def clean(text: str) -> str:
    """The text without control characters: a device's name must not move the cursor or change colours."""
    if text.isprintable():
        return text
    shown = (c if c.isprintable() or _joins(c) else " " if c.isspace() else "?" for c in text)
    return "".join(shown)


def shorten(text: str, width: int, mark: str = "…") -> str:
    """The text cut to *width* columns, with a *mark* where something is missing."""
    if width_of(text) <= width:
        return text
    kept, used, room = "", 0, max(0, width - len(mark))
    for character in text:
        used += _columns(character)
        if used > room:
            break
        kept += character
    return kept.rstrip() + mark[:width]


def pad(text: str, width: int, align: str = "<") -> str:
    """The text filled with spaces to *width* columns, to the left (``<``), right (``>``) or middle (``^``)."""
    missing = max(0, width - width_of(text))
    left = {"<": 0, ">": missing, "^": missing // 2}[align]
    return " " * left + text + " " * (missing - left)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _joins(character: str) -> bool:
    # The zero-width joiner and non-joiner belong to words and emoji; direction overrides (also Cf) do not.
    return character in "\u200c\u200d"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _nearest(character: str, encoding: str) -> str:
    """The character, or what comes nearest to it, as wide as it is: columns stay aligned."""
    if _can_encode(character, encoding):
        return character
    plain = _LOOKALIKES.get(character) or unicodedata.normalize("NFD", character)[0]
    return plain if _can_encode(plain, encoding) else "?" * _columns(character)


def _is_a_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # a closed stream
        return False
