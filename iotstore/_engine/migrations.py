"""Migrations: from the stored descriptions of kinds to the declared ones.

Safe additions (a kind, a nullable field or one with a default, an index) follow from the comparison. Renames, drops and
transforms are steps declared with the kind. Whatever can't be told is refused before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iotstore._engine.describe import Description, describe, layout_of
from iotstore._engine.engine import Engine
from iotstore._engine.references import keys_filter
from iotstore._engine.transaction import Transaction
from iotstore._kinds.codec import Codec, application_value, plain_value
from iotstore._kinds.kind import Kind
from iotstore._kinds.steps import Drop, Rename, RenameKind, Transform
from iotstore._kinds.system import KINDS, StoredKind
from iotstore._waist.layout import Column, Index, Layout
from iotstore._waist.queries import Order, Select
from iotstore._waist.schema import (
    AddColumn,
    AlterColumn,
    CreateIndex,
    CreateLayout,
    DropColumn,
    DropIndex,
    Operation,
    RenameColumn,
    RenameLayout,
    SetReferences,
)
from iotstore._waist.sessions import ReadSession
from iotstore.errors import Corrupt, InvalidValue, MigrationNeeded, NewerSchema


@dataclass(slots=True)
class KindPlan:
    """What has to happen for one kind. *rewrite* says that its records are gone through once."""

    kind: Kind[Any]
    operations: list[Operation] = field(default_factory=list[Operation])
    transforms: list[Transform] = field(default_factory=list[Transform])
    rewrite: bool = False
    destructive: bool = False
    stored_version: int | None = None
    old_name: str | None = None

    def lines(self) -> list[str]:
        """The plan in words, a line for each thing that will be done."""
        found = [f"{self.kind.name}: {type(item).__name__} {_what(item)}".rstrip() for item in self.operations]
        found += [f"{self.kind.name}: Transform to version {step.version}" for step in self.transforms]
        return found + ([f"{self.kind.name}: fill computed columns"] if self.rewrite and not self.transforms else [])


def _what(operation: Operation) -> str:
    match operation:
        case AddColumn(_, column) | AlterColumn(_, column):
            return column.name
        case DropColumn(_, name):
            return name
        case RenameColumn(_, old, new) | RenameLayout(old, new):
            return f"{old} to {new}"
        case CreateIndex(_, index) | DropIndex(_, index):
            return "over " + ", ".join(index.columns)
        case _:
            return ""


def read_stored(engine: Engine, session: ReadSession) -> dict[str, dict[str, Any]]:
    """The stored descriptions by kind name; empty for a store that has just been made."""
    if KINDS.name not in session.layouts():
        return {}
    codec = engine.codec(KINDS)
    rows = session.select(KINDS.layout, Select())
    found = {stored.name: stored.description for stored in map(codec.decode, rows)}
    for name, description in found.items():
        try:
            # All that is asked of a description later on is asked once here.
            layout_of(description)
            int(description["version"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Corrupt(
                f"the stored description of kind {name!r} can't be read", hint="restore a backup; nothing was changed"
            ) from error
    return {name: dict(description) for name, description in found.items()}


def plan(engine: Engine, stored: Mapping[str, Description]) -> list[KindPlan]:
    """What it takes to bring the store to the declared kinds, in the order of the kinds."""
    plans = [_plan_kind(kind, stored) for kind in engine.kinds.values()]
    return [item for item in plans if item is not None]


def apply(engine: Engine, transaction: Transaction, plans: Sequence[KindPlan]) -> None:
    """Carry the plans out and store the new descriptions, all in one transaction."""
    session = transaction.session
    if KINDS.name not in session.layouts():
        session.apply([CreateLayout(KINDS.layout)])
    codec = engine.codec(KINDS)
    for item in plans:
        session.apply(item.operations)
        if item.rewrite or item.transforms:
            _rewrite(engine, transaction, item)
        if item.old_name is not None:
            session.delete(KINDS.layout, keys_filter(KINDS, [codec.key(item.old_name)]))
        record = StoredKind(name=item.kind.name, version=item.kind.version, description=describe(item.kind))
        session.upsert(KINDS.layout, [codec.encode(record, 0, 0)])


def _plan_kind(kind: Kind[Any], stored: Mapping[str, Description]) -> KindPlan | None:
    renames = [step for step in kind.steps if isinstance(step, RenameKind)]
    old_name = next((step.old for step in renames if step.old in stored and kind.name not in stored), None)
    before = stored.get(old_name or kind.name)
    if before is None:
        return KindPlan(kind, [CreateLayout(kind.layout)])
    if describe(kind) == dict(before):
        return None
    if kind.version < before["version"]:
        raise NewerSchema(
            f"kind {kind.name} is stored in version {before['version']}, and this code declares {kind.version}",
            hint="run the newer version of the application; nothing was changed",
        )
    found = KindPlan(kind, stored_version=before["version"], old_name=old_name)
    if old_name is not None:
        found.operations.append(RenameLayout(old_name, kind.name))
    old = layout_of(before)
    columns = _declared_steps(found, old)
    _compare(found, old, columns)
    return found


def _declared_steps(found: KindPlan, old: Layout) -> dict[str, Column]:
    """Apply renames and drops to the old columns; returns those by their new names."""
    kind, columns = found.kind, {column.name: column for column in old.columns}
    for index in old.indexes:
        if index not in kind.layout.indexes:
            found.operations.append(DropIndex(kind.name, index))
    for step in sorted(kind.steps, key=lambda step: step.version):
        if found.stored_version is None or step.version <= found.stored_version:
            continue
        match step:
            case Rename(_, before, after):
                for name in [name for name in columns if name == before or columns[name].shadow_of == before]:
                    new = after + name[len(before) :]
                    moved = columns.pop(name)
                    columns[new] = moved._replace(name=new, shadow_of=after if moved.shadow_of else None)
                    found.operations.append(RenameColumn(kind.name, name, new))
            case Drop(_, gone):
                for name in [name for name in columns if name == gone or columns[name].shadow_of == gone]:
                    del columns[name]
                    found.operations.append(DropColumn(kind.name, name))
                found.destructive = True
            case Transform():
                found.transforms.append(step)
                found.destructive = True
            case RenameKind():
                pass
    return columns


def _compare(found: KindPlan, old: Layout, columns: Mapping[str, Column]) -> None:
    kind, layout = found.kind, found.kind.layout
    # Records that begin to be tracked get the version 0; those that no longer are would lose theirs.
    if old.key != layout.key or old.version not in (None, layout.version):
        raise MigrationNeeded(
            f"kind {kind.name} has another key or tracking than stored", hint="declare a new kind and copy its records"
        )
    for name, column in columns.items():
        if name not in layout.position:
            if column.shadow_of is None:
                version = max(kind.version, (found.stored_version or 0) + 1)
                raise MigrationNeeded(
                    f"kind {kind.name} no longer declares the stored field {name!r}",
                    hint=f"declare version={version}, Drop({version}, {name!r}) or Rename({version}, {name!r}, ...)",
                )
            found.operations.append(DropColumn(kind.name, name))
    for column in layout.columns:
        before = columns.get(column.name)
        if before is None:
            _add(found, column)
        else:
            _alter(found, before, column)
    if old.references != layout.references:
        found.operations.append(SetReferences(layout, layout.references))
    found.operations += [CreateIndex(kind.name, index) for index in _new(layout.indexes, old.indexes)]


def _new(declared: Iterable[Index], stored: Sequence[Index]) -> Iterator[Index]:
    return (index for index in declared if index not in stored)


def _add(found: KindPlan, column: Column) -> None:
    kind = found.kind
    if column.shadow_of is not None:
        # Empty until the records are gone through, and that is part of the same transaction.
        found.operations.append(AddColumn(kind.name, column._replace(nullable=True)))
        found.rewrite = True
        return
    default = kind.defaults.get(column.name)
    if default is None and not column.nullable:
        raise MigrationNeeded(
            f"kind {kind.name} declares the new field {column.name!r} without a default",
            hint="give it one, or let it be None",
        )
    plain = None if default is None or default == frozenset() else plain_value(kind.fields[column.name], default)
    found.operations.append(AddColumn(kind.name, column._replace(default=plain)))


def _alter(found: KindPlan, before: Column, column: Column) -> None:
    kind = found.kind
    if before.type is not column.type:
        raise MigrationNeeded(
            f"field {column.name!r} of kind {kind.name} was {before.type.value} and is declared {column.type.value}",
            hint="declare a field of another name and fill it by a Transform",
        )
    if before.nullable and not column.nullable and column.shadow_of is None:
        raise MigrationNeeded(
            f"field {column.name!r} of kind {kind.name} could be None and no longer may", hint="let it be None"
        )
    shorter = (column.max_length or 0) < (before.max_length or 0) and column.shadow_of is None
    if shorter and not found.transforms:
        raise MigrationNeeded(
            f"field {column.name!r} of kind {kind.name} held up to {before.max_length} and is declared for "
            f"{column.max_length}",
            hint="declare the old length, or a Transform that shortens what is longer",
        )
    found.rewrite |= shorter  # so that every record is checked once
    longer = (column.max_length or 0) > (before.max_length or 0)
    if longer or (column.nullable and not before.nullable):
        found.operations.append(AlterColumn(kind.name, column))


def _rewrite(engine: Engine, transaction: Transaction, item: KindPlan) -> None:
    """Go through every record once: transforms in order, then every column written anew, shadows included."""
    kind, session = item.kind, transaction.session
    codec: Codec[Any] = engine.codec(kind)
    # All keys first: a cursor over rows that are being changed may meet them twice.
    query = Select(order=tuple(Order(name) for name in kind.keys))
    keys = [kind.layout.key_of(row) for chunk in session.stream(kind.layout, query, 1000) for row in chunk]
    for key in keys:
        row = session.get(kind.layout, key)
        if row is None:
            continue
        fields = _fields_of(codec, row)
        changed: dict[str, Any] = {}
        for step in item.transforms:
            changed.update(step.change({**fields, **changed}))
        written = {**fields, **changed} if item.rewrite else changed
        columns: dict[str, Any] = {}
        for name, value in written.items():
            if name in kind.keys or name == kind.generated or name not in kind.fields or name == "version":
                if name in changed:
                    raise InvalidValue("can't be changed by a Transform", field=name)
                continue
            columns.update(codec.columns_of(name, value))
        if columns:
            for one in session.update(kind.layout, keys_filter(kind, [key]), columns):
                if kind.tracked:
                    transaction.changed(kind, one.key, one.version, "update")


def _fields_of(codec: Codec[Any], row: tuple[Any, ...]) -> dict[str, Any]:
    position = codec.kind.layout.position
    found: dict[str, Any] = {}
    for name, declared in codec.kind.fields.items():
        held = row[position[name]]
        decode = codec.holding(declared.declared.type).decode
        plain = held if decode is None or held is None else decode(held)
        found[name] = codec.free(declared, held) if plain is None else application_value(declared, plain)
    return found
