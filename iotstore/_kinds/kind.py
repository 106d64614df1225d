"""Kind: a record class with its key, references, indexes, merge rules and retention, and the layout they make."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from iotstore._kinds import fields as f
from iotstore._kinds import relating
from iotstore._kinds.fields import Field
from iotstore._kinds.relating import Relates
from iotstore._kinds.steps import Step
from iotstore._waist.layout import Column, Index, Layout, Merge, OnDelete, Reference, Type
from iotstore.errors import ConfigurationError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}\Z", re.ASCII)
VERSION: Final = "version"
#: What all key fields of a record may take together, in UTF-8: every engine can index that much.
KEY_BYTES: Final = 1024
#: The collection of telemetry points, which is no kind.
RESERVED: Final = ("points",)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every record class: a frozen, typed value. Subclasses say ``frozen=True, kw_only=True`` too."""


class Tracked(Record, frozen=True, kw_only=True):
    """Base of records that carry a *version*, raised with every change; ``expected=version`` guards a change with it.

    The version of a record that is put or added is ignored: the store sets it.
    """

    version: int = 0


R = TypeVar("R", bound=Record)
_PLAIN: Final[Mapping[Any, f.Declared]] = {
    str: f.Text(),
    int: f.Int(),
    float: f.Real(),
    bool: f.Flag(),
    datetime: f.Time(),
    timedelta: f.Duration(),
    bytes: f.Bytes(),
    frozenset: f.Tags(),
}


@dataclass(frozen=True, slots=True)
class Retention:
    """Records whose *time* is older than *keep* may be pruned; with *only* just those whose flag field says so.

    *only* names a time field that must be set (an alert's ``resolved_at``) or a boolean field that must be true.
    *parts* says that there will be many: where an engine can, it keeps them in parts by *time*, and drops whole parts.
    """

    time: str
    keep: timedelta
    only: str | None = None
    parts: bool = False


@dataclass(frozen=True, eq=False)
class Kind(Generic[R]):
    """A type of record, declared once; every backend can keep it.

    *key* names the field or fields of the primary key. *generated* names an integer field that the store numbers.
    *merge* says per field what an upsert does with a record that exists (default: the new value replaces).
    *references* maps a field to the kind it points to and what happens when that one is deleted.
    *relates* says which edges of the graph its records hold; with it, if only ``()``, they are nodes too, provided that
    the key is one field.
    *version* and *steps* describe how older stores are brought here (see ``Rename``, ``Drop``, ``Transform``).
    *noun* is the word in messages.
    """

    record: type[R]
    name: str
    key: tuple[str, ...] | str
    generated: str | None = None
    indexes: Sequence[Sequence[str]] = ()
    unique: Sequence[Sequence[str]] = ()
    references: Mapping[str, tuple[str, OnDelete]] = field(default_factory=dict[str, tuple[str, OnDelete]])
    merge: Mapping[str, Merge] = field(default_factory=dict[str, Merge])
    retention: Retention | None = None
    relates: Sequence[Relates] | None = None
    version: int = 1
    steps: Sequence[Step] = ()
    noun: str = ""
    defaults: Mapping[str, object] = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    fields: Mapping[str, Field] = field(init=False)
    tracked: bool = field(init=False)
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ConfigurationError(f"kind name {self.name!r} is not lower-case letters, digits and _ (at most 48)")
        if self.name in RESERVED:
            raise ConfigurationError(f"kind name {self.name!r} is the store's own", hint="choose another one")
        put = object.__setattr__
        put(self, "keys", (self.key,) if isinstance(self.key, str) else tuple(self.key))
        put(self, "tracked", issubclass(self.record, Tracked))
        put(self, "noun", self.noun or self.name.replace("_", " "))
        put(self, "fields", _read_fields(self.record))
        put(self, "defaults", _read_defaults(self.record))
        self._check_names()
        for problem in _problems(self):
            raise ConfigurationError(f"kind {self.name}: {problem}")
        put(self, "layout", self._make_layout())

    def _check_names(self) -> None:
        named = [*self.keys, *self.references, *self.merge, *(name for group in self.indexes for name in group)]
        named += [name for group in self.unique for name in group]
        named += [self.generated] if self.generated else []
        if self.retention:
            named += [self.retention.time, *([self.retention.only] if self.retention.only else [])]
        for name in named:
            if name not in self.fields or name == VERSION:
                raise ConfigurationError(
                    f"kind {self.name} names {name!r}, which is no field of {self.record.__name__}"
                )

    def _make_layout(self) -> Layout:
        columns: list[Column] = []
        for item in self.fields.values():
            if item.name == VERSION and self.tracked:
                continue
            columns += _columns(item, self.merge.get(item.name, Merge.REPLACE))
        if self.tracked:
            columns.append(Column(VERSION, Type.INT))
        sets = [*((group, False) for group in self.indexes), *((group, True) for group in self.unique)]
        return Layout(
            name=self.name,
            columns=tuple(columns),
            key=self.keys,
            indexes=tuple(Index(tuple(self.fields[name].order for name in group), unique) for group, unique in sets),
            references=tuple(Reference(name, target, action) for name, (target, action) in self.references.items()),
            version=VERSION if self.tracked else None,
            parts=self.retention.time if self.retention is not None and self.retention.parts else None,
        )


def _problems(kind: Kind[Any]) -> Iterator[str]:
    """What makes no sense in a declaration whose names are all fields."""
    if not kind.keys:
        yield "it has no key"
    if "expected" in kind.fields:
        yield "a field can't be called 'expected': update(expected=...) means the version"
    if len(set(kind.keys)) < len(kind.keys):
        yield "it names a key field twice"
    for name in kind.keys:
        if kind.fields[name].nullable:
            yield f"the key field {name!r} may not be None"
        if isinstance(kind.fields[name].declared, f.Json | f.Tags):
            yield f"the key field {name!r} can't be compared"
        if name in kind.merge:
            yield f"the key field {name!r} has no merge rule"
    if kind.generated is not None and (
        kind.fields[kind.generated] != Field(kind.generated, f.Int(), nullable=False)
        or kind.defaults.get(kind.generated) != 0
    ):
        yield f"the generated field {kind.generated!r} must be a plain int with the default 0"
    for name, merge in kind.merge.items():
        # A shadow beside the column would be merged on its own, and text by code point.
        if merge in (Merge.MIN, Merge.MAX) and kind.fields[name].declared.type not in (Type.INT, Type.REAL, Type.TIME):
            yield f"{name!r} has no larger and smaller values to merge by"
    for name, (_, action) in kind.references.items():
        if not isinstance(kind.fields[name].declared, f.Text | f.Int):
            yield f"{name!r} can't point to a record: it is no text or int"
        if action is OnDelete.CLEAR and not kind.fields[name].nullable:
            yield f"{name!r} can't be cleared: it may not be None"
    if kind.retention is not None:
        yield from _retention_problems(kind, kind.retention)
    if kind.relates is not None:
        yield from relating.problems(kind.relates, kind.keys, kind.fields, kind.references, tracked=kind.tracked)
    taken = {item.fold for item in kind.fields.values()} | {f"{item.name}__order" for item in kind.fields.values()}
    for name in kind.fields:
        if name in taken:
            yield f"{name!r} is what a computed column is called"
    if kind.version < 1:
        yield f"version {kind.version} is not 1 or more"
    for step in kind.steps:
        if not 1 < step.version <= kind.version:
            yield f"its {type(step).__name__} is of version {step.version}, and the kind is of version {kind.version}"


def _retention_problems(kind: Kind[Any], retention: Retention) -> Iterator[str]:
    if not isinstance(kind.fields[retention.time].declared, f.Time):
        yield f"retention goes by {retention.time!r}, which is no time"
    if retention.keep <= timedelta(0):
        yield f"retention keeps records for {retention.keep}"
    if retention.parts and (kind.keys != (kind.generated,) or kind.fields[retention.time].nullable):
        yield f"parts by {retention.time!r} need a generated key, and a time that is never None"
    if retention.only is not None and not isinstance(kind.fields[retention.only].declared, f.Time | f.Flag):
        yield f"retention asks {retention.only!r}, which is neither a time nor a boolean"


def _columns(item: Field, merge: Merge) -> list[Column]:
    declared = item.declared
    longest = declared.max if isinstance(declared, f.Text | f.Json | f.Bytes) else None
    # The empty set is NULL, so a text set is always nullable in the layout.
    nullable = item.nullable or isinstance(declared, f.Tags)
    columns = [Column(item.name, declared.type, nullable, longest, merge)]
    if item.fold:
        # Casefolding can lengthen text up to three times.
        folded = longest * 3 if longest is not None else None
        columns.append(Column(item.fold, Type.TEXT, nullable, folded, merge, shadow_of=item.name))
    if item.order != item.name:
        columns.append(Column(item.order, Type.TEXT, nullable, 33, merge, shadow_of=item.name))
    return columns


def _read_fields(record: type[Record]) -> dict[str, Field]:
    hints = get_type_hints(record, include_extras=True)
    return {name: _field(name, hints[name], record) for name in record.__struct_fields__}


def _read_defaults(record: type[Record]) -> dict[str, object]:
    found: dict[str, object] = {}
    for info in msgspec.structs.fields(record):
        if info.default is not msgspec.NODEFAULT:
            found[info.name] = info.default
        elif info.default_factory is not msgspec.NODEFAULT:
            factory: Callable[[], object] = info.default_factory
            found[info.name] = factory()
    return found


def _field(name: str, hint: Any, record: type[Record]) -> Field:
    nullable = False
    declared: f.Declared | None = None
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            inner, *extras = get_args(hint)
            declared = next((extra for extra in extras if isinstance(extra, f.DECLARED)), declared)
            hint = inner
        elif origin in (Union, types.UnionType) and type(None) in get_args(hint) and len(get_args(hint)) == 2:
            nullable = True
            hint = next(part for part in get_args(hint) if part is not type(None))
        else:
            break
    if origin is Literal and declared is None:
        return Field(name, f.Text(choices=tuple(get_args(hint))), nullable)
    if isinstance(declared, f.Json):
        return Field(name, declared, nullable=True)  # None is JSON null
    plain = _PLAIN.get(frozenset if origin is frozenset else hint)
    if declared is None and plain is None:
        raise ConfigurationError(
            f"{record.__name__}.{name} has a type that no column holds: {hint!r}",
            hint="use str, int, float, bool, datetime, timedelta, bytes, frozenset[str], a Literal of texts, or Json()",
        )
    if declared is not None and (plain is None or plain.type is not declared.type):
        raise ConfigurationError(f"{record.__name__}.{name}: {type(declared).__name__}() does not fit its type")
    chosen = declared or plain
    if chosen is None:  # both None was refused above
        raise ConfigurationError(f"{record.__name__}.{name} has no declaration")
    return Field(name, chosen, nullable)
