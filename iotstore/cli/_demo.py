"""``iotstore demo``: a simulated home for a week, written, backed up, proven and shown."""

from __future__ import annotations

import argparse
import shlex
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import iotstore
from iotstore import Backup, NotAllowed, Store, field
from iotstore.cli._arguments import DEMO_DAYS, DEMO_SEED
from iotstore.cli._backup import shown_path, teller
from iotstore.cli._demo_report import report
from iotstore.cli._drawing import Cell, Column, table
from iotstore.cli._formats import duration, number, size
from iotstore.cli._progress import Progress
from iotstore.cli._simulation.home import LOCATIONS, THINGS
from iotstore.cli._simulation.week import STEPS_A_DAY, Week
from iotstore.cli._terminal import Terminal, pad, width_of

URL: Final = "sqlite:///iotstore-demo.db"
#: A fixed end makes the demo the same on every machine and every day, and a second run a proof.
END: Final = datetime(2025, 6, 16, tzinfo=UTC)

_LABEL: Final = "demo"


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Simulate, write, back up, prove, show. A second run finds everything there and adds nothing."""
    begun = time.monotonic()
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) if args.now else END
    week = Week(args.seed, end - timedelta(days=args.days), end)
    # Only --url is asked, never the environment: a demo must not land in somebody's own store.
    with iotstore.open(args.url or URL, create=True) as store:
        _refuse_strangers(store)
        _head(terminal, store, week)
        _write(terminal, store, week)
        backup = _back_up(terminal, store, week)
        terminal.title("What was stored")
        terminal.lines(_stored(terminal, week))
        _remarks(terminal, store, week)
        report(terminal, store, week)
        _foot(terminal, args, week, store.url, backup=backup, spent=timedelta(seconds=time.monotonic() - begun))
    return 0


def _refuse_strangers(store: Store) -> None:
    """A store with other devices than the demo's is somebody's own."""
    own = [thing.key for thing in THINGS]
    stranger = store.devices.first(field("key").not_in(own))
    if stranger is not None:
        raise NotAllowed(
            f"{store.url} has devices of its own, such as {stranger.key!r}, and a demo would mix with them",
            hint="name an empty store with --url",
        )


def _head(terminal: Terminal, store: Store, week: Week) -> None:
    last = week.end - timedelta(microseconds=1)
    first = f"{week.start:%a} {week.start.day} {week.start:%b} to " if week.start.date() != last.date() else ""
    terminal.title("iotstore demo", store.url)
    terminal.line(
        f"  {len(THINGS)} devices in {len(LOCATIONS)} locations, {first}{last:%a} {last.day} {last:%b %Y} (UTC)."
    )
    terminal.line()


def _write(terminal: Terminal, store: Store, week: Week) -> None:
    with Progress(terminal, "simulate and write", len(week.days) * STEPS_A_DAY) as progress:
        week.write(store, progress.at)
        points = week.points.stored + week.points.duplicates
        progress.done_with(
            f"{number(points)} points, {number(week.flows.total)} flows, {number(week.alerts.total)} alerts"
        )


def _back_up(terminal: Terminal, store: Store, week: Week) -> Backup | None:
    """A backup, proven by restoring it. When nothing was added, the one from before is proven again."""
    if store.backups.default_directory() is None:
        terminal.line("  This store ends with its process, so there is no place for a backup.")
        return None
    known = [backup for backup in store.backups.list() if backup.proven and backup.label == _LABEL]
    if known and not week.added:
        with Progress(terminal, "prove the backup", 100) as progress:
            proven = store.backups.verify(known[0].path, progress=teller(progress))
            progress.done_with(f"{number(proven.rows)} rows, the same as when it was taken")
        return proven
    with Progress(terminal, "back up and prove", 100) as progress:
        made = store.backups.create(label=_LABEL, progress=teller(progress))
        progress.done_with(f"{size(made.size)}, restored to a scratch place and compared")
    return made


def _stored(terminal: Terminal, week: Week) -> list[str]:
    rows: list[list[str | Cell]] = [
        [name, Cell(number(tally.stored), ("bold",)), number(tally.duplicates), number(tally.rejected)]
        for name, tally in week.tallies.items()
    ]
    columns = [Column(""), Column("stored", ">"), Column("there already", ">"), Column("refused", ">")]
    return table(terminal, columns, rows)


def _remarks(terminal: Terminal, store: Store, week: Week) -> None:
    if not week.added:
        terminal.line("  Everything was there already: a repeated run adds nothing.")
    elif week.points.duplicates:
        terminal.line("  Points that were there already are repetitions: some gateways send twice.")
    kept = store.connections.count(field("time").between(week.start, week.end))
    if kept < week.flows.stored + week.flows.duplicates:
        terminal.line(f"  Only {number(kept)} of the flows are still there: retention has deleted the others since.")
    points = next((place for place in store.admin.statistics().places if place.name == "points"), None)
    if points is not None and points.bytes is not None and points.rows:
        terminal.line(f"  A point takes {points.bytes / points.rows:.0f} bytes.")


def _foot(
    terminal: Terminal, args: argparse.Namespace, week: Week, url: str, *, backup: Backup | None, spent: timedelta
) -> None:
    """What to type next. *url* is the store's without secrets: they are never shown."""
    moment = "" if args.now else f" --at {week.end:%Y-%m-%d}"
    lines = [
        (f"export IOTSTORE_URL={shlex.quote(url)}", ""),
        (f"iotstore home{moment}", "the page of a monitor"),
        (f"iotstore devices show cam-drive{moment}", "the camera that misbehaves"),
        ("iotstore alerts --open", "what waits for somebody"),
        ("iotstore talkers --by destination", "where the bytes go"),
        (f"iotstore demo{_options(args, url)}", "once more: it adds nothing"),
    ]
    terminal.title("What to type next")
    widest = max(width_of(command) for command, what in lines if what)
    for command, what in lines:
        note = f"  {terminal.paint(what, 'dim')}" if what else ""
        terminal.line(f"  {terminal.paint('$', 'dim')} {pad(command, widest)}{note}")
    terminal.line()
    if backup is not None:
        terminal.line(f"  The backup is {shown_path(backup.path)}")
    terminal.line(terminal.paint(f"  All of it took {duration(spent)}.", "dim"))


def _options(args: argparse.Namespace, url: str) -> str:
    said = [f" --url {shlex.quote(url)}"] if args.url else []
    said += [f" --days {args.days}"] if args.days != DEMO_DAYS else []
    said += [f" --seed {args.seed}"] if args.seed != DEMO_SEED else []
    return "".join([*said, *([" --now"] if args.now else [])])
