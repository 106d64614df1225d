"""The progress bar: one line that fills on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from iotstore.cli._drawing import bar
from iotstore.cli._formats import duration
from iotstore.cli._terminal import Terminal, clean, shorten, width_of

_OFTEN: Final = 0.08  # seconds between two drawings: faster than an eye, slower than a terminal
_BAR: Final = 24
_CLEAR: Final = "\r\x1b[2K"


class Progress:
    """Shows how far a piece of work is. Use it as a context manager and call ``advance``.

    On a terminal the line is drawn over itself and its last state stays. Elsewhere there is one line at the end: a log
    file or a mail from cron wants results, not motion.
    """

    def __init__(self, terminal: Terminal, title: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._title = title
        self._total = max(total, 1)
        self._done = 0
        self._note = ""
        self._clock = clock
        self._started = clock()
        self._drawn = float("-inf")

    def __enter__(self) -> Self:
        if self._terminal.moves:
            self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        elif self._terminal.moves:
            self._draw()
            self._terminal.write("\n")

    def advance(self, by: int = 1, note: str = "") -> None:
        """Another *by* units are done; *note* is shown behind the bar."""
        self.at(self._done + by, note)

    def at(self, done: int, note: str = "") -> None:
        """*done* units are done in all."""
        self._done = min(done, self._total)
        self._note = clean(note) or self._note
        if self._terminal.moves and self._clock() - self._drawn >= _OFTEN:
            self._draw()

    def of(self, done: int, total: int, note: str = "") -> None:
        """*done* of *total* units are done, where the whole is known only while the work goes on."""
        self._total = max(total, 1)
        self.at(done, note)

    def done_with(self, note: str) -> None:
        """The work is done; *note* is what the closing line says of it."""
        self._done, self._note = self._total, clean(note)

    def _took(self) -> str:
        return duration(timedelta(seconds=self._clock() - self._started))

    def _draw(self) -> None:
        self._drawn = self._clock()
        share = self._done / self._total
        filled = bar(self._terminal, share, _BAR)
        rest = self._terminal.pick("─", ".") * (_BAR - width_of(filled))
        line = f"  {self._title}  "
        tail = f" {share:4.0%}  {self._took()}  {self._note}"
        tail = shorten(tail, self._terminal.width - 1 - width_of(line) - _BAR, "")
        coloured = self._terminal.paint(filled, "cyan") + self._terminal.paint(rest, "dim")
        self._terminal.write(f"{_CLEAR}{line}{coloured}{tail}")

    def _finish(self) -> None:
        mark = self._terminal.paint(self._terminal.pick("✓", "done:"), "green")
        note = f"  {self._note}" if self._note else ""
        # The title keeps its place; what follows is one calm line instead of a full bar.
        line = f"  {mark} {self._title}{note}" + self._terminal.paint(f"  {self._took()}", "dim")
        self._terminal.write(f"{_CLEAR if self._terminal.moves else ''}{line}\n")
