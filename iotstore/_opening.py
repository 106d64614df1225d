"""What happens once, when a store is opened: its kinds are collected, its schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pluggy  # noqa: TID253 - this module is loaded by open() only

from iotstore._domains.backups import Backups
from iotstore._engine import migrations
from iotstore._engine.engine import Engine
from iotstore._engine.migrations import KindPlan
from iotstore._kinds.graphed import Graphed
from iotstore._kinds.kind import Kind
from iotstore._kinds.system import KINDS
from iotstore._waist import uses
from iotstore._waist.capabilities import Capability, Limits
from iotstore._waist.layout import Type
from iotstore.errors import ConfigurationError, MigrationNeeded

PLUGINS: Final = "iotstore.plugins"


def named_kinds(manager: pluggy.PluginManager, kinds: Sequence[Kind[Any] | str]) -> Iterator[Kind[Any]]:
    """The kinds themselves: a name stands for what an installed plugin offers."""
    names = [kind for kind in kinds if isinstance(kind, str)]
    if names:
        manager.load_setuptools_entrypoints(PLUGINS)
    said: list[Iterable[Kind[Any]]] = manager.hook.iotstore_kinds() if names else []
    offered = {kind.name: kind for several in said for kind in several}
    for kind in kinds:
        if isinstance(kind, Kind):
            yield kind
        elif kind in offered:
            yield offered[kind]
        else:
            hint = f"offered are {', '.join(sorted(offered)) or 'none'}"
            raise ConfigurationError(f"no plugin offers a kind called {kind!r}", hint=hint)


def collect_kinds(kinds: Iterable[Kind[Any]]) -> dict[str, Kind[Any]]:
    """The kinds by name; refuses two of a name, references to nothing, and what makes no graph."""
    found: dict[str, Kind[Any]] = {}
    for kind in kinds:
        if found.setdefault(kind.name, kind) is not kind or kind.name == KINDS.name:
            raise ConfigurationError(f"two kinds are called {kind.name!r}", hint="give yours another name")
        for field, (target, _) in kind.references.items():
            if target not in found:
                raise ConfigurationError(
                    f"kind {kind.name}: {field} points to the unknown kind {target!r}", hint="name that kind before it"
                )
            _check_target(kind, field, found[target])
    Graphed(found)  # refuses what makes no graph
    return found


def _check_target(kind: Kind[Any], field: str, target: Kind[Any]) -> None:
    name, *others = target.keys
    if others:
        raise ConfigurationError(f"kind {kind.name}: {field!r} can't point to {target.name}: its key is composed")
    key, own = target.layout.column(name).type, kind.layout.column(field).type
    if key is not own:
        raise ConfigurationError(
            f"kind {kind.name}: {field!r} can't point to {target.name}: "
            f"its key is {key.value} and the field is {own.value}"
        )


def check_limits(kinds: Iterable[Kind[Any]], limits: Limits) -> None:
    """Refuse a kind whose texts may be longer than the backend keeps."""
    for kind in kinds:
        for column in kind.layout.columns:
            # A character takes up to four bytes.
            widest = (column.max_length or 0) * (4 if column.type is Type.TEXT else 1)
            if widest > limits.max_text_bytes:
                raise ConfigurationError(
                    f"kind {kind.name}: {column.name!r} may take {widest} bytes; this backend keeps "
                    f"{limits.max_text_bytes} at most",
                    hint="declare a smaller maximum",
                )


def bring_up_to_date(engine: Engine, *, migrate: bool) -> None:
    """Migrate what is stored to what is declared; a backup is taken before anything is lost."""
    with engine.reading() as session:
        plans = migrations.plan(engine, migrations.read_stored(engine, session))
    if not plans:
        return
    if not migrate and any(plan.stored_version is not None for plan in plans):
        raise MigrationNeeded(
            f"the store needs a migration: {'; '.join(line for plan in plans for line in plan.lines())}",
            hint="open it with migrate=True, or run: iotstore migrate",
        )
    if engine.guard is not None:  # before the backup: what will be refused leaves nothing, nowhere
        engine.guard.check(used for plan in plans for used in uses.of_operations(plan.operations))
    if any(plan.destructive for plan in plans):
        _backup_before(engine, plans)
    with engine.writing() as transaction:
        transaction.session.apply(())
        # Another process may have migrated meanwhile: what is stored now decides.
        again = migrations.plan(engine, migrations.read_stored(engine, transaction.session))
        migrations.apply(engine, transaction, again)


def _backup_before(engine: Engine, plans: Sequence[KindPlan]) -> None:
    backups = Backups(engine)
    if backups.default_directory() is not None:
        native = engine.backend.capabilities.has(Capability.NATIVE_BACKUP)
        label = "before-migration-" + "-".join(plan.kind.name for plan in plans if plan.destructive)
        backups.create(format="native" if native else "portable", label=label)
