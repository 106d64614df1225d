"""Mutants of what lasts: backups, restores, copies, migrations, closing and the death of a process."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from iotstore import BackupError, Conflict, Kind, MigrationNeeded, NewerSchema, NotAllowed, Store, Transform, field
from iotstore.backend import ALWAYS, AddColumn, Compare, Layout, Op, RenameLayout
from iotstore_conformance.kinds import CELLS, KINDS, TALLIES
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, stores

_KEYED = TALLIES.layout  # as most kinds: its key is called key


def _drop(backup: Path) -> None:
    shutil.rmtree(backup) if backup.is_dir() else backup.unlink()


@mutant(
    "backups-leave-alerts-out",
    kills=("BAK-002", "BAK-012"),
    sentence="A portable backup or copy holds no alert, and proves that to be right.",
)
def _no_alerts(breaking: Breaking) -> None:
    @breaking.wrong("session", "stream")
    def _stream(_self: Any, right: Any, layout: Layout, *rest: Any) -> Any:
        yield from () if layout.name == "alert" else right(layout, *rest)


@mutant(
    "restores-forget-settings",
    kills=("BAK-001", "BAK-002"),
    sentence="A restored store has no settings.",
)
def _no_settings(breaking: Breaking) -> None:
    @breaking.wrong("iotstore", "restore", "copy")
    def _restore(right: Any, source: Any, target: Any, **options: Any) -> Any:
        done = right(source, target, **options)
        with breaking.harness.open(target, kinds=list(KINDS)) as store:
            for name in store.settings.all():
                store.settings.delete(name)
        return done


@mutant(
    "backups-of-one-second-are-one", kills=("BAK-003",), sentence="A second backup at one instant is the first one."
)
def _one_second(breaking: Breaking) -> None:
    opened = stores(breaking)
    made: dict[object, Any] = {}

    @breaking.wrong("backups", "create")
    def _create(_self: Any, right: Any, folder: Any, **options: Any) -> Any:
        second = (folder, opened[0].clock.now())
        if second not in made:
            made[second] = right(folder, **options)
        return made[second]


@mutant("any-backup-is-good", kills=("BAK-004",), sentence="Verifying a backup finds no fault in a damaged one.")
def _any(breaking: Breaking) -> None:
    @breaking.wrong("backups", "verify")
    def _verify(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except BackupError:
            return None


@mutant(
    "restores-begin-with-deleting",
    kills=("BAK-005",),
    sentence="A restore empties its target before it looks at the backup.",
)
def _deleting(breaking: Breaking) -> None:
    @breaking.wrong("iotstore", "restore")
    def _restore(right: Any, path: Any, url: str, *, replace: bool = False, **options: Any) -> Any:
        if replace:
            with breaking.harness.open(url, kinds=list(KINDS)) as store:
                store.devices.delete_where(field("key").is_set())
        return right(path, url, replace=replace, **options)


@mutant(
    "restores-merge",
    kills=("BAK-006", "BAK-007"),
    sentence="A restore into a store that holds something adds to it.",
)
def _merging(breaking: Breaking) -> None:
    @breaking.wrong("iotstore", "restore")
    def _restore(right: Any, path: Any, url: str, *, replace: bool = False, **options: Any) -> Any:
        with breaking.harness.open(url, kinds=list(KINDS)) as store:
            there = store.devices.list()
        try:
            done = right(path, url, replace=replace, **options)
        except (Conflict, NotAllowed):
            done = right(path, url, replace=True, **options)
        with breaking.harness.open(url, kinds=list(KINDS)) as store:
            store.devices.put_many(there)
        return done


@mutant("rotation-counts-bad-ones", kills=("BAK-008",), sentence="Rotation keeps the newest, whole or not.")
def _rotated(breaking: Breaking) -> None:
    @breaking.wrong("backups", "rotate")
    def _rotate(_self: Any, _right: Any, folder: Any, *, keep: int) -> Any:
        surplus = sorted(Path(folder).iterdir())[:-keep]
        for backup in surplus:
            _drop(backup)
        return surplus


@mutant("backups-are-listed-oldest-first", kills=("BAK-009",), sentence="Backups are listed oldest first.")
def _listed(breaking: Breaking) -> None:
    answers(breaking, "backups", "list", lambda found: found[::-1])


@mutant(
    "backups-cut-transactions",
    kills=("BAK-010",),
    sentence="A backup ends in the middle of the last transaction that it holds.",
)
def _torn(breaking: Breaking) -> None:
    @breaking.wrong("backups", "create")
    def _create(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        time.sleep(0.05)  # so that something is there to be cut
        return right(*args, **options)

    @breaking.wrong("session", "stream")
    def _stream(_self: Any, right: Any, layout: Layout, *rest: Any) -> Any:
        for piece in right(layout, *rest):
            last = layout.name == "suite_sample" and len(piece) > 1 and piece[-1][0].endswith("-b")
            yield piece[:-1] if last else piece

    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        pairs = layout.name == "suite_sample" and not query.groups and query.where == ALWAYS
        return [(rows[0][0] - 1,)] if pairs and rows[0] and (rows[0][0] or 0) > 1 else rows


@mutant(
    "kinds-without-code-are-dropped",
    kills=("MIG-007", "BAK-011"),
    sentence="Opening a store without a kind's code deletes the kind's records.",
)
def _without_code(breaking: Breaking) -> None:
    seen: dict[str, Layout] = {}

    @breaking.wrong("writer", "insert")
    def _insert(_self: Any, right: Any, layout: Layout, row: Any) -> None:
        seen[layout.name] = layout
        right(layout, row)

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store: Store = right(url, **options)
        if not options.get("kinds"):
            with store.backend.write() as session:
                for name, layout in seen.items():
                    if name not in store.kinds:
                        session.delete(layout, ALWAYS)
        return store


@mutant("copies-take-away", kills=("BAK-012",), sentence="A copy of a store takes the settings out of its source.")
def _moved(breaking: Breaking) -> None:
    @breaking.wrong("iotstore", "copy")
    def _copy(right: Any, source: str, target: str, **options: Any) -> Any:
        done = right(source, target, **options)
        with breaking.harness.open(source, kinds=list(KINDS)) as store:
            for name in store.settings.all():
                store.settings.delete(name)
        return done


@mutant(
    "backups-of-others-lose-settings",
    kills=("BAK-014",),
    sentence="A backup that this process didn't make itself is restored without its settings.",
)
def _of_others(breaking: Breaking) -> None:
    made: set[str] = set()

    @breaking.wrong("backups", "create")
    def _create(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        backup = right(*args, **options)
        made.add(str(backup.path))
        return backup

    @breaking.wrong("iotstore", "restore")
    def _restore(right: Any, path: Any, target: Any, **options: Any) -> Any:
        done = right(path, target, **options)
        if str(path) not in made:
            with breaking.harness.open(target) as store:
                for name in store.settings.all():
                    store.settings.delete(name)
        return done


@mutant("nothing-restores-to-nothing", kills=("BAK-013",), sentence="What is no backup restores to an empty store.")
def _nothing(breaking: Breaking) -> None:
    @breaking.wrong("iotstore", "restore")
    def _restore(right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except BackupError:
            return None


@mutant("added-fields-are-empty", kills=("MIG-001",), sentence="A field that is added has no default in old records.")
def _no_default(breaking: Breaking) -> None:
    @breaking.wrong("writer", "apply")
    def _apply(_self: Any, right: Any, operations: Any) -> None:
        right([
            replace(one, column=one.column._replace(default=None))
            if isinstance(one, AddColumn) and one.column.nullable
            else one
            for one in operations
        ])  # fmt: skip


@mutant("renames-lose-their-values", kills=("MIG-002",), sentence="A renamed field is dropped and made anew.")
def _renamed(breaking: Breaking) -> None:
    @breaking.wrong("session", "select")
    def _select(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        at = layout.position.get("velocity")
        return rows if at is None else [(*row[:at], None, *row[at + 1 :]) for row in rows]


@mutant("renamed-kinds-begin-empty", kills=("MIG-009",), sentence="A renamed kind leaves its records behind.")
def _left_behind(breaking: Breaking) -> None:
    @breaking.wrong("writer", "apply")
    def _apply(self: Any, right: Any, operations: Any) -> None:
        right(operations)
        for one in operations:
            if isinstance(one, RenameLayout):
                self.delete(Layout(one.new, _KEYED.columns, _KEYED.key), ALWAYS)


@mutant(
    "losses-are-taken",
    kills=("MIG-003", "MIG-008"),
    sentence="A migration that nobody allowed is left undone, and the store opened all the same.",
)
def _taken(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except MigrationNeeded:
            return right(url, **{**options, "kinds": []})


def _transforms(options: dict[str, Any]) -> list[tuple[Kind[Any], Transform]]:
    return [(kind, step) for kind in options["kinds"] for step in kind.steps if isinstance(step, Transform)]


@mutant(
    "transforms-run-every-time", kills=("MIG-004",), sentence="A transform runs again whenever the store is opened."
)
def _every_time(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store: Store = right(url, **options)
        for kind, step in _transforms(options):
            records = store.records(kind)
            for record in records.list():
                fields = {name: getattr(record, name) for name in kind.fields}
                records.update(fields[kind.keys[0]], **step.change(fields))
        return store


@mutant(
    "failed-migrations-stay-half-done",
    kills=("MIG-005",),
    sentence="A migration that fails leaves the records that it had rewritten.",
)
def _half_done(breaking: Breaking) -> None:
    known: dict[str, Kind[Any]] = {}

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            store: Store = right(url, **options)
        except Exception:
            for kind, step in _transforms(options):
                with right(url, **{**options, "kinds": [known[kind.name]]}) as before:
                    records = before.records(known[kind.name])
                    first = records.list()[0]
                    fields = {name: getattr(first, name) for name in kind.fields}
                    records.update(fields[kind.keys[0]], **step.change(fields))
            raise
        known.update({kind.name: kind for kind in options["kinds"]})
        return store


@mutant("newer-stores-are-opened", kills=("MIG-006",), sentence="A store of a newer version is opened all the same.")
def _newer(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except NewerSchema:
            return right(url, **{**options, "kinds": []})


@mutant(
    "closing-loses-the-last-write",
    kills=("DUR-001", "DUR-002"),
    sentence="The record and the point that were written last are lost when the store is closed.",
)
def _unflushed(breaking: Breaking) -> None:
    records: dict[str, tuple[Layout, Any]] = {}
    points: dict[int, int] = {}

    @breaking.wrong("writer", "insert")
    def _insert(_self: Any, right: Any, layout: Layout, row: Any) -> None:
        right(layout, row)
        if layout.name == "suite_sample":
            records[layout.name] = (layout, row[0])

    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, of: Any, series: Any, times: Any, *rest: Any) -> Any:
        points[series[-1]] = times[-1]
        return right(of, series, times, *rest)

    @breaking.wrong("store", "close")
    def _close(self: Any, right: Any) -> None:
        if records or points:
            with self.backend.write() as session:
                for layout, key in records.values():
                    session.delete(layout, Compare(layout.key[0], Op.EQ, key))
                for series, when in points.items():
                    session.erase([series], when, None)
        records.clear()
        points.clear()
        right()


@mutant(
    "the-work-of-the-dead-is-thrown-away",
    kills=("DUR-003",),
    sentence="What a process wrote that was killed afterwards is thrown away on opening.",
)
def _thrown_away(breaking: Breaking) -> None:
    closed: dict[str, int] = {}

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store: Store = right(url, **options)
        if "suite_cell" in store.kinds:
            cells = store.records(CELLS)
            if closed.setdefault(url, cells.count()) < cells.count():
                cells.delete_where(field("number").is_set())
        return store


@mutant("closed-stores-are-handed-out", kills=("FLT-017",), sentence="Opening a place again gives the store of before.")
def _handed_out(breaking: Breaking) -> None:
    known: dict[str, Store] = {}

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        if options.get("kinds") != list(KINDS):
            return right(url, **options)
        if url not in known:
            known[url] = right(url, **options)
        return known[url]
