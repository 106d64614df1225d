"""The terminal kit: what it does on a terminal, without one, and where only ASCII can be written."""

import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from fcntl import ioctl
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore.cli import _drawing as drawing
from iotstore.cli._drawing import Cell, Column
from iotstore.cli._progress import Progress
from iotstore.cli._terminal import Terminal, clean, pad, shorten, width_of


def plain_terminal(encoding: str = "utf-8", **environ: str) -> Terminal:
    """A stream that is no terminal."""
    return Terminal(io.TextIOWrapper(io.BytesIO(), encoding=encoding), environ)


def written(terminal: Terminal) -> str:
    """What was written to it."""
    assert isinstance(terminal.stream, io.TextIOWrapper)
    buffer = terminal.stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(terminal.encoding)


class Window:
    """A pseudo terminal of 90 columns: a stream to write to, and what a person would see."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
        self.stream: TextIO = os.fdopen(theirs, "w", encoding="utf-8")

    def read(self) -> str:
        """Everything since the last look. The kernel hands it over in pieces, so a mark says where it ends."""
        self.stream.write("∎")
        self.stream.flush()
        seen = b""
        while not seen.endswith("∎".encode()):
            seen += os.read(self.ours, 65_536)
        return seen.decode()[:-1].replace("\r\n", "\n")


@pytest.fixture
def window() -> Iterator[Window]:
    made = Window()
    yield made
    made.stream.close()
    os.close(made.ours)


def test_a_terminal_has_its_own_width_and_colours(window: Window) -> None:
    terminal = Terminal(window.stream, {"TERM": "xterm"})

    assert (terminal.tty, terminal.width, terminal.colour, terminal.moves) == (True, 90, True, True)
    assert terminal.paint("text", "bold", "red") == "\x1b[1;31mtext\x1b[0m"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_dumb_terminals_get_no_colour(window: Window, environ: dict[str, str]) -> None:
    assert Terminal(window.stream, environ).paint("text", "red") == "text"


def test_what_is_no_terminal_is_80_columns_wide_and_has_no_colour() -> None:
    terminal = plain_terminal()

    assert (terminal.tty, terminal.width, terminal.paint("text", "red")) == (False, 80, "text")


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("9", 40), ("400", 100), ("x", 80), ("", 80)])
def test_columns_says_the_width_within_what_can_be_read(columns: str, width: int) -> None:
    assert plain_terminal(COLUMNS=columns).width == width


def test_a_stream_that_holds_only_ascii_gets_ascii() -> None:
    terminal = plain_terminal("ascii")
    terminal.line(drawing.sparkline(terminal, [1.0, 2.0, 3.0]) + " " + drawing.bar(terminal, 0.5, 4) + " 21 °C")

    assert written(terminal) == "_=# ## 21 oC\n"


def test_what_ascii_lacks_is_replaced_by_something_as_wide() -> None:
    terminal = plain_terminal("ascii")
    terminal.line("Küche 温度 3 m³ ☂ |")

    assert written(terminal) == "Kuche ???? 3 m3 ? |\n"


def test_a_name_with_control_characters_can_not_move_the_cursor() -> None:
    assert clean("cam\x1b[2Jera\n\u202eevil") == "cam?[2Jera ?evil"


@given(st.text(max_size=30), st.integers(1, 30))
def test_shortened_text_always_fits(text: str, width: int) -> None:
    assert width_of(shorten(text, width)) <= width


@given(st.text(max_size=20), st.sampled_from("<>^"))
def test_padded_text_has_exactly_the_width_asked_for(text: str, align: str) -> None:
    assert width_of(pad(text, 40, align)) == max(40, width_of(text))


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [width_of(text) for text in ("温度", "e\u0301", "plain", "📷")] == [4, 1, 5, 2]


def test_table_columns_stay_aligned_with_wide_characters() -> None:
    rows = [["温度センサー", "21.5"], ["door", "9"]]

    assert drawing.table(plain_terminal(), [Column("name"), Column("value", ">")], rows) == [
        "  name          value",
        "  温度センサー   21.5",
        "  door              9",
    ]


def test_a_table_that_is_too_wide_cuts_the_columns_that_may_shrink() -> None:
    terminal = plain_terminal(COLUMNS="40")
    lines = drawing.table(terminal, [Column("title", shrinks=True), Column("time")], [["x" * 60, "2025-06-15 18:04"]])

    assert lines[1] == f"  {'x' * 19}…  2025-06-15 18:04"


def test_a_styled_cell_is_as_wide_as_its_text(window: Window) -> None:
    terminal = Terminal(window.stream, {"TERM": "xterm"})
    lines = drawing.table(terminal, [Column(""), Column("")], [[Cell("ok", ("green",)), "a"], ["failed", "b"]])

    assert lines == ["  \x1b[32mok    \x1b[0m  a", "  failed  b"]


def test_sparklines_show_the_course_with_gaps_where_nothing_is_known() -> None:
    terminal = plain_terminal()

    assert drawing.sparkline(terminal, [0.0, None, 7.0, 3.5]) == "▁ █▅"
    assert drawing.sparkline(terminal, [5.0, 5.0]) == "▄▄"
    assert drawing.sparkline(terminal, [None, None]) == ""


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
def test_a_sparkline_has_one_character_for_each_value(values: list[float | None]) -> None:
    drawn = drawing.sparkline(plain_terminal(), values)

    assert len(drawn) == (len(values) if any(value is not None for value in values) else 0)


def test_a_long_course_is_drawn_in_the_width_there_is() -> None:
    assert len(drawing.sparkline(plain_terminal(), [float(at) for at in range(1000)], 24)) == 24


def test_bars_grow_with_their_share_and_are_never_invisible() -> None:
    terminal = plain_terminal()

    assert [drawing.bar(terminal, share, 4) for share in (0.0, 0.001, 0.5, 1.0, 7.0)] == ["", "▏", "██", "████", "████"]


def test_shades_tell_nothing_from_little_and_little_from_much() -> None:
    terminal = plain_terminal()

    assert [drawing.shade(terminal, value, 100.0) for value in (0, 1, 30, 100)] == [" ", "·", "▒", "█"]


class Ticks:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_on_a_terminal_the_bar_is_drawn_over_itself_and_ends_with_one_line(window: Window) -> None:
    clock = Ticks()
    with Progress(Terminal(window.stream, {"TERM": "xterm", "NO_COLOR": "1"}), "copying", 4, clock) as progress:
        for done in range(1, 5):
            clock.now = done
            progress.advance(note=f"row {done}")
    seen = window.read()

    assert seen.count("\r\x1b[2K") == 6  # the start, four steps, the end
    assert "  copying  ████████████────────────  50%  2.0 s  row 2" in seen
    assert seen.endswith("\r\x1b[2K  ✓ copying  row 4  4.0 s\n")


def test_the_bar_is_not_drawn_more_often_than_an_eye_can_see(window: Window) -> None:
    clock = Ticks()
    with Progress(Terminal(window.stream, {"TERM": "xterm"}), "copying", 1000, clock) as progress:
        for _ in range(1000):
            clock.now += 0.001
            progress.advance()

    assert window.read().count("\r\x1b[2K") <= 14


def test_the_bar_never_wraps_to_a_second_line(window: Window) -> None:
    clock = Ticks()
    with Progress(Terminal(window.stream, {"TERM": "xterm", "NO_COLOR": "1"}), "copying", 2, clock) as progress:
        clock.now = 1.0
        progress.advance(note="x" * 300)
        drawn = window.read().split("\r\x1b[2K")[-1]

        assert width_of(drawn) <= 89


def test_an_error_leaves_the_bar_where_it_was(window: Window) -> None:
    with pytest.raises(KeyError, match="lost"), Progress(Terminal(window.stream, {"TERM": "xterm"}), "copying", 2):
        raise KeyError("lost")

    assert "done" not in window.read()


def test_without_a_terminal_progress_is_one_plain_line() -> None:
    terminal = plain_terminal()
    with Progress(terminal, "copying", 4, Ticks()) as progress:
        for _ in range(4):
            progress.advance(note="rows")

    assert written(terminal) == "  ✓ copying  rows  0 ms\n"


def test_without_a_terminal_a_failure_writes_nothing() -> None:
    terminal = plain_terminal()
    with pytest.raises(KeyError, match="lost"), Progress(terminal, "copying", 4):
        raise KeyError("lost")

    assert written(terminal) == ""
