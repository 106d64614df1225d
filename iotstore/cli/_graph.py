"""``iotstore graph``: the projection of a composed store: how far it is, feeding it, comparing it, making it anew."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from iotstore.cli._admin import metric_lines
from iotstore.cli._common import emit, opened
from iotstore.cli._drawing import Cell, Column, facts, table
from iotstore.cli._formats import instant, number
from iotstore.cli._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator

    from iotstore import Comparison, Projection, ProjectionStatus

_SHOWN: Final = 20
_STYLES: Final = {"live": ("green",), "rebuild": ("bold", "red"), "unreachable": ("yellow",)}


def status(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show how far the projection is. Exit code 1 when it has to be made anew."""
    with opened(args) as store:
        projection = store.projection
        found, letters = projection.status(), projection.dead_letters(_SHOWN)
        numbers = projection.metrics() if args.metrics else {}
    if args.metrics:
        terminal.lines(metric_lines(numbers))
    elif args.json:
        emit(terminal, {"status": found, "dead_letters": letters})
    else:
        terminal.lines(facts(terminal, _facts(terminal, found)))
        if letters:
            terminal.title("Refused", "iotstore graph replay tries again")
            rows = [[one.kind, one.key, number(one.attempts), one.error] for one in letters]
            columns = [Column("kind"), Column("key"), Column("tries", ">"), Column("error", wraps=True)]
            terminal.lines(table(terminal, columns, rows))
    return 1 if found.state == "rebuild" else 0


def _facts(terminal: Terminal, found: ProjectionStatus) -> list[tuple[str, str]]:
    told = [
        ("projection", found.place),
        ("state", terminal.paint(found.state, *_STYLES.get(found.state, ()))),
        ("waiting", f"{number(found.waiting)} changes, the oldest for {found.lag_seconds:.0f} s"),
        ("applied", f"{number(found.applied)} records in {number(found.batches)} batches"),
        ("last", "never" if found.applied_at is None else f"{instant(found.applied_at)} UTC"),
        ("projector", found.projector or "nobody"),
        ("refused", number(found.dead_letters)),
    ]
    return told + [(name, text) for name, text in (("reason", found.reason), ("trouble", found.trouble)) if text]


def sync(args: argparse.Namespace, terminal: Terminal) -> int:
    """Apply what waits; with --follow go on until it is stopped."""
    with opened(args) as store:
        projection = store.projection
        if not args.follow:
            terminal.line(f"{number(projection.sync())} records were brought over.")
            return 0
        terminal.line(f"Following into {projection.status().place}; Ctrl-C ends it.")
        with _signals(projection.end):
            projection.follow()
    terminal.line("Ended; another projector can go on at once.")
    return 0


@contextmanager
def _signals(end: Callable[[], None]) -> Generator[None]:
    """Let the signals that ask a program to end call *end*."""

    def asked(*_: object) -> None:
        end()

    before = {one: signal.signal(one, asked) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Compare both stores. Exit code 1 when something differs that was not repaired."""
    with opened(args) as store:
        found = store.projection.verify(repair=args.repair)
        if found.repaired:
            store.projection.sync()
    if args.json:
        emit(terminal, found)
    else:
        terminal.lines(_comparison_lines(terminal, found))
    return 0 if found.count == found.repaired else 1


def _comparison_lines(terminal: Terminal, found: Comparison) -> list[str]:
    rows: list[list[str | Cell]] = [
        [one.kind.replace("_", " "), number(one.records), "equal" if one.equal else Cell("different", ("yellow",))]
        for one in found.kinds
        if one.records or not one.equal
    ]
    lines = table(terminal, [Column("kind"), Column("primary", ">"), Column("projection")], rows)
    if found.count:
        named = [[one.kind, one.key, one.what, one.letter or ""] for one in found.differences[:_SHOWN]]
        lines += ["", f"  {number(found.count)} differ and don't wait to be brought over:"]
        lines += table(terminal, [Column("kind"), Column("key"), Column("what"), Column("refused", wraps=True)], named)
    else:
        lines += ["", "  Nothing differs that does not wait to be brought over."]
    if found.repaired:
        lines.append(f"  {number(found.repaired)} were brought over again.")
    return lines


def rebuild(args: argparse.Namespace, terminal: Terminal) -> int:
    """Make the projection anew."""
    return _work(args, terminal, lambda projection: f"Made anew with {number(projection.rebuild())} records.")


def clear(args: argparse.Namespace, terminal: Terminal) -> int:
    """Empty the projection and detach it, or with --keep only detach it."""

    def work(projection: Projection) -> str:
        if args.keep:
            projection.detach()
            return "Detached; what the projection holds stays as it is."
        projection.clear()
        return "Emptied and detached. The primary was not touched."

    return _work(args, terminal, work)


def export(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the projection as a script."""

    def work(projection: Projection) -> str:
        made = projection.write_script(args.path)
        return f"{args.path}: {number(made.nodes)} nodes, {number(made.edges)} edges, digest {made.digest}"

    return _work(args, terminal, work)


def take(args: argparse.Namespace, terminal: Terminal) -> int:
    """Make the projection from a script."""

    def work(projection: Projection) -> str:
        made = projection.take_script(args.path)
        return f"{number(made.nodes)} nodes and {number(made.edges)} edges, compared by digest {made.digest}"

    return _work(args, terminal, work)


def replay(args: argparse.Namespace, terminal: Terminal) -> int:
    """Try every refused record again."""

    def work(projection: Projection) -> str:
        tried = projection.replay()
        projection.sync()
        left = len(projection.dead_letters())
        return f"{number(tried)} were tried again, {number(left)} are refused still."

    return _work(args, terminal, work)


def _work(args: argparse.Namespace, terminal: Terminal, work: Callable[[Any], str]) -> int:
    with opened(args) as store:
        said = work(store.projection)
    terminal.line(said)
    return 0
