"""Canonical lines: the one text form of records, the same for every engine, that digests and portable parts hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from iotstore import _values as values
from iotstore._waist.filters import And, Compare, Filter, Op, Or
from iotstore._waist.layout import AS_IT_IS, Column, Holding, Layout, Row, Type, Value
from iotstore.errors import BackupError

_encode_lines: Final = msgspec.json.Encoder().encode_lines
#: What a value of each type is in Python, as canonical JSON brings it back.
PYTHON: Final[Mapping[Type, Any]] = {
    Type.INT: int,
    Type.REAL: float,
    Type.BOOL: bool,
    Type.TEXT: str,
    Type.BYTES: bytes,
    Type.TIME: int,
    Type.TEXTSET: tuple[str, ...],
}
# What the core computes from another column of the record, by the end of the shadow's name.
_SHADOWS: Final[Mapping[str, Callable[[str], str]]] = {"fold": values.fold, "order": values.address_order}


class Block(NamedTuple):
    """Some whole lines, each ended by a newline, and how many records or points they hold."""

    data: bytes
    rows: int


def whole_lines(chunks: Iterator[bytes], what: str) -> Iterator[bytes]:
    """The same bytes cut after newlines, so that every piece consists of whole lines. *what* names them in errors."""
    parts: list[bytes] = []
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join([*parts, chunk[:cut]])
            parts = []
        if cut < len(chunk):
            parts.append(chunk[cut:])
    if parts:
        raise BackupError(f"{what} ends inside a line", hint="it is damaged: use another backup")


class RecordLines:
    """Turns rows of one layout, as one backend holds them, into canonical lines and back.

    A line is a JSON array of the values of the declared columns in the order of their names. Shadows are left out and
    computed again on the way back; the version is a column like any other.
    """

    def __init__(self, layout: Layout, holds: Mapping[Type, Holding]) -> None:
        self.layout = layout
        self.columns = tuple(sorted((c for c in layout.columns if c.shadow_of is None), key=lambda c: c.name))
        names: dict[str, Any] = {"sorted": sorted}
        for type_, holding in holds.items():
            names[f"free_{type_.name}"] = holding.decode
            names[f"hold_{type_.name}"] = holding.encode
        self._plain: Callable[[Sequence[Row]], list[list[Any]]] = self._compile(self._plain_source(holds), names)
        self._rows: Callable[[Sequence[tuple[Any, ...]]], list[Row]] = self._compile(
            self._rows_source(holds, names), names
        )
        fields = tuple(PYTHON[c.type] | None if c.nullable else PYTHON[c.type] for c in self.columns)
        self._parse = msgspec.json.Decoder(tuple[fields]).decode_lines  # type: ignore[valid-type]

    @staticmethod
    def _compile(expression: str, names: dict[str, Any]) -> Callable[..., Any]:
        source = f"def convert(rows): return [{expression} for r in rows]"
        exec(compile(source, "<canonical lines>", "exec"), names)  # noqa: S102 - generated from declarations only
        convert: Callable[..., Any] = names.pop("convert")
        return convert

    def _plain_source(self, holds: Mapping[Type, Holding]) -> str:
        parts: list[str] = []
        for column in self.columns:
            value = f"r[{self.layout.position[column.name]}]"
            plain = value
            if holds.get(column.type, AS_IT_IS).decode is not None:
                plain = f"free_{column.type.name}({value})"
            if column.type is Type.TEXTSET:
                plain = f"sorted({plain})"
            parts.append(value if plain == value else f"(None if {value} is None else {plain})")
        return f"[{', '.join(parts)}]"

    def _rows_source(self, holds: Mapping[Type, Holding], names: dict[str, Any]) -> str:
        position = {column.name: index for index, column in enumerate(self.columns)}
        parts: list[str] = []
        for column in self.layout.columns:
            value = f"r[{position[column.shadow_of or column.name]}]"
            held = value
            if column.shadow_of is not None:
                shadow = f"shadow_{column.name}"
                names[shadow] = _shadow(self.layout, column)
                held = f"{shadow}({value})"
            if holds.get(column.type, AS_IT_IS).encode is not None:
                held = f"hold_{column.type.name}({held})"
            parts.append(value if held == value else f"(None if {value} is None else {held})")
        return f"({', '.join(parts)},)"

    def dump(self, rows: Sequence[Row]) -> bytes:
        """The rows as canonical lines."""
        return _encode_lines(self._plain(rows))

    def parse(self, lines: bytes) -> list[Row]:
        """Rows for the backend from canonical lines; BackupError when a line does not fit the layout."""
        return self._rows(self.check(lines))

    def check(self, lines: bytes) -> list[tuple[Any, ...]]:
        """The values of canonical lines, each of its column's type; BackupError when a line does not fit."""
        try:
            return self._parse(lines)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BackupError(f"a line of {self.layout.name} does not fit its description: {error}") from error


def _shadow(layout: Layout, column: Column) -> Callable[[str], str]:
    compute = _SHADOWS.get(column.name.rpartition("__")[2])
    if compute is None:
        raise BackupError(
            f"{layout.name} has the computed column {column.name!r}, which this version does not know",
            hint="use a newer version of the library",
        )
    return compute


def held(value: Any, type_: Type, holds: Mapping[Type, Holding]) -> Value:
    """One value in layout terms as the backend holds it."""
    encode = holds.get(type_, AS_IT_IS).encode
    return value if encode is None or value is None else encode(value)


def freed(value: Value, type_: Type, holds: Mapping[Type, Holding]) -> Any:
    """One value that a backend holds, in layout terms."""
    decode = holds.get(type_, AS_IT_IS).decode
    return value if decode is None or value is None else decode(value)


def after(columns: Sequence[str], last: Sequence[Value]) -> Filter:
    """The filter for what comes after a row that has these values, in ascending order of these columns."""
    parts: list[Filter] = []
    for index, name in enumerate(columns):
        same = tuple(Compare(before, Op.EQ, value) for before, value in zip(columns[:index], last, strict=False))
        parts.append(And((*same, Compare(name, Op.GT, last[index]))))
    return Or(tuple(parts))
