"""One codec per kind and backend: Python source is written once for the kind's fields and compiled.

A record becomes the backend's row in one function without a loop over fields; a row becomes the record likewise.
That is what makes a generic waist as fast as code written by hand for one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from iotstore import _values as values
from iotstore._clock import EPOCH, from_micros, to_micros
from iotstore._kinds import fields as f
from iotstore._kinds.fields import Field
from iotstore._kinds.kind import KEY_BYTES, VERSION, Kind, Record
from iotstore._waist.layout import AS_IT_IS, Holding, Key, Row, Type, Value
from iotstore.errors import Corrupt, InvalidValue

R = TypeVar("R", bound=Record)
_MICROSECOND = timedelta(microseconds=1)


def _missing(name: str) -> InvalidValue:
    return InvalidValue("may not be None", field=name)


def _given(name: str) -> InvalidValue:
    return InvalidValue("is given by the store", field=name, hint="leave it out")


def _long_key(name: str) -> InvalidValue:
    return InvalidValue(f"makes a key of more than {KEY_BYTES} bytes", field=name, hint="use a shorter one")


def _bad_length(name: str, value: str | bytes, least: int, most: int) -> InvalidValue:
    unit = "bytes" if isinstance(value, bytes) else "characters"
    return InvalidValue(f"has {len(value)} {unit}; allowed are {least} to {most}", field=name)


def _bad_choice(name: str, value: str, choices: tuple[str, ...]) -> InvalidValue:
    return InvalidValue(f"{value!r} is none of {', '.join(choices)}", field=name)


def _bad_range(name: str, value: object, least: object, most: object) -> InvalidValue:
    return InvalidValue(f"{value} is not between {least} and {most}", field=name)


# A home has few addresses and many flows: parsing each text once is most of the cost.
@lru_cache(maxsize=16_384)
def _known_address(text: str, field: str) -> tuple[str, str]:
    canonical = values.address(text, field)
    return canonical, values.address_order(canonical)


def _address(value: object, field: str) -> tuple[str, str]:
    # The cache takes only plain text: 1 and True, or an address object and its text, would be one cache key.
    if type(value) is str:
        return _known_address(value, field)
    canonical = values.address(value, field)
    return canonical, values.address_order(canonical)


def _duration(value: object, field: str) -> int:
    if not isinstance(value, timedelta):
        raise values.wrong_type("a timedelta", value, field)
    micros = value // _MICROSECOND
    if not values.MIN_INT <= micros <= values.MAX_INT:
        raise InvalidValue("is longer than 64 bits of microseconds", field=field)
    return micros


def _bytes(value: object, field: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise values.wrong_type("bytes", value, field)
    return bytes(cast("bytes", value))


def _from_duration(micros: int) -> timedelta:
    return timedelta(microseconds=micros)


_HELPERS: Mapping[str, object] = {
    "DecodeError": msgspec.DecodeError,
    "EPOCH": EPOCH,
    "MICROSECOND": _MICROSECOND,
    "UTC": UTC,
    "datetime": datetime,
    "timedelta": timedelta,
    "address": _address,
    "bad_choice": _bad_choice,
    "bad_length": _bad_length,
    "bad_range": _bad_range,
    "check_bool": values.check_bool,
    "check_bytes": _bytes,
    "check_int": values.check_int,
    "check_real": values.check_real,
    "check_text": values.check_text,
    "duration": _duration,
    "from_duration": _from_duration,
    "given": _given,
    "json_text": values.json_text,
    "long_key": _long_key,
    "mac": values.mac,
    "missing": _missing,
    "parse_json": values.parse_json,
    "tags": values.tags,
    "to_micros": to_micros,
    "wrong_type": values.wrong_type,
}


class Codec(Generic[R]):
    """Turns records of one kind into rows of one backend and back."""

    def __init__(self, kind: Kind[R], holds: Mapping[Type, Holding]) -> None:
        self.kind = kind
        self._holds = holds
        names: dict[str, Any] = {**_HELPERS, "cls": kind.record}
        for type_, holding in holds.items():
            names[f"hold_{type_.name}"] = holding.encode
            names[f"free_{type_.name}"] = holding.decode
        self._names = dict(names)
        self._setters: dict[str, Callable[[object], dict[str, Value]]] = {}
        names["checked_key"] = self._checked_key
        names["damaged"] = self._damaged
        source = "\n".join([*self._encode_source(names), *self._decode_source(), *self._key_source()])
        exec(compile(source, f"<codec of {kind.name}>", "exec"), names)  # noqa: S102 - generated from declarations only
        #: record, version, generated number -> row; raises InvalidValue with the field
        self.encode: Callable[[R, int, int], Row] = names["encode"]
        #: row -> record
        self.decode: Callable[[Row], R] = names["decode"]
        #: what an application names a record by (the value, or a tuple for a composed key) -> the held key
        self.key: Callable[[object], Key] = names["key"]

    def _damaged(self) -> Corrupt:
        return Corrupt(
            f"a stored {self.kind.noun} holds what was never stored so",
            hint="run `iotstore verify`, and restore a backup",
        )

    def columns_of(self, name: str, value: object) -> dict[str, Value]:
        """The column values, shadows included, that setting the field *name* to *value* writes."""
        item = self.kind.fields[name]
        setter = self._setters.get(name)
        if setter is None:
            names: dict[str, Any] = dict(self._names)
            body = ["    " + line for line in self._field_source(item, names)]
            columns = [name, *([item.fold] if item.fold else []), *([item.order] if item.order != name else [])]
            pairs = ", ".join(f"{column!r}: c_{column}" for column in columns)
            source = "\n".join(["def set(v):", *body, f"    return {{{pairs}}}"])
            exec(compile(source, f"<setter of {name}>", "exec"), names)  # noqa: S102 - as above
            setter = self._setters[name] = names["set"]
        return setter(value)

    def _encode_source(self, names: dict[str, Any]) -> list[str]:
        lines = [
            "def encode(r, version, number):",
            "    if r.__class__ is not cls: raise wrong_type(cls.__name__, r, None)",
        ]
        for item in self._stored_fields():
            if item.name == self.kind.generated:
                lines += [f"    if r.{item.name} != 0: raise given({item.name!r})", f"    c_{item.name} = number"]
                continue
            lines += [f"    v = r.{item.name}", *("    " + line for line in self._field_source(item, names))]
        lines += self._key_limit_source()
        columns = [
            "version" if c.name == VERSION and self.kind.tracked else f"c_{c.name}" for c in self.kind.layout.columns
        ]
        lines.append(f"    return ({', '.join(columns)},)")
        return lines

    def _key_limit_source(self) -> list[str]:
        texts = [name for name in self.kind.keys if self.kind.fields[name].declared.type in (Type.TEXT, Type.BYTES)]
        widest = sum(4 * (self.kind.layout.column(name).max_length or 0) for name in texts)
        if widest <= KEY_BYTES:
            return []
        sizes = [
            f"len(r.{name}.encode())" if self.kind.fields[name].declared.type is Type.TEXT else f"len(r.{name})"
            for name in texts
        ]
        return [f"    if {' + '.join(sizes)} > {KEY_BYTES}: raise long_key({texts[0]!r})"]

    def _field_source(self, item: Field, names: dict[str, Any]) -> list[str]:
        columns = [item.name, *([item.fold] if item.fold else []), *([item.order] if item.order != item.name else [])]
        nothing = " = ".join(f"c_{column}" for column in columns) + " = None"
        lines = ["if v is None:", f"    {nothing}" if item.nullable else f"    raise missing({item.name!r})", "else:"]
        lines += ["    " + line for line in _encode_lines(item, names)]
        if self.holding(item.declared.type).encode is not None:
            # The empty text set is NULL after its check, and NULL is held as NULL everywhere.
            target = f"c_{item.name}"
            lines.append(f"    if {target} is not None: {target} = hold_{item.declared.type.name}({target})")
        if item.fold and self.holding(Type.TEXT).encode is not None:
            lines.append(f"    c_{item.fold} = hold_{Type.TEXT.name}(c_{item.fold})")
        return lines

    def _decode_source(self) -> list[str]:
        columns = [f"c_{column.name}" for column in self.kind.layout.columns]
        lines = ["def decode(row):", f"    {', '.join(columns)}, = row"]
        arguments = [f"{item.name}={self._decode_expression(item)}" for item in self._stored_fields()]
        if self.kind.tracked:
            arguments.append(f"version=c_{VERSION}")
        # A value that was never stored like that: the file was damaged, and says so instead of failing somehow.
        lines.append(f"    try: return cls({', '.join(arguments)})")
        lines.append(
            "    except (TypeError, ValueError, OverflowError, DecodeError) as error: raise damaged() from error"
        )
        return lines

    def _decode_expression(self, item: Field) -> str:
        name = f"c_{item.name}"
        held = f"free_{item.declared.type.name}({name})" if self._decodes(item) else name
        if isinstance(item.declared, f.Tags):
            return f"frozenset({held}) if {name} is not None else frozenset()"
        template = _DECODE.get(type(item.declared), "{}")
        if template == "{}" and not self._decodes(item):
            return name
        expression = template.format(held)
        return f"None if {name} is None else {expression}" if item.nullable else expression

    def _decodes(self, item: Field) -> bool:
        return self.holding(item.declared.type).decode is not None

    def _stored_fields(self) -> list[Field]:
        return [item for item in self.kind.fields.values() if not (item.name == VERSION and self.kind.tracked)]

    def filter_value(self, item: Field, value: object) -> Value:
        """The value that a filter compares the field's ordering column with; converted exactly or refused."""
        declared = item.declared
        if isinstance(declared, f.Address):
            return _address(value, item.name)[1]
        if isinstance(declared, f.Int) and isinstance(value, float) and value.is_integer():
            value = int(value)
        return self.hold(declared.type, plain_value(item, value))

    def _key_source(self) -> list[str]:
        # What nearly every key is, a plain text or number, is told without a call.
        first = self.kind.fields[self.kind.keys[0]].declared
        tests: dict[type, str] = {
            f.Text: "k.__class__ is str and k.isascii() and '\\0' not in k",
            f.Int: f"k.__class__ is int and {values.MIN_INT} <= k <= {values.MAX_INT}",
        }
        plain = tests.get(type(first))
        lines = ["def key(k):"]
        if plain is not None and len(self.kind.keys) == 1 and self.holding(first.type).encode is None:
            lines.append(f"    if {plain}: return (k,)")
        return [*lines, "    return checked_key(k)"]

    def _checked_key(self, key: object) -> Key:
        parts = cast("tuple[object, ...]", key) if isinstance(key, tuple) else (key,)
        names = self.kind.keys
        if len(parts) != len(names):
            raise InvalidValue(
                f"the key of a {self.kind.noun} is {' and '.join(names)}; {len(parts)} values were given", field="key"
            )
        return tuple(
            self.hold(self.kind.fields[name].declared.type, plain_value(self.kind.fields[name], part))
            for name, part in zip(names, parts, strict=True)
        )

    def holding(self, type_: Type) -> Holding:
        """How the backend holds a column type."""
        return self._holds.get(type_, AS_IT_IS)

    def hold(self, type_: Type, plain: Any) -> Value:
        """A value in layout terms as the backend holds it."""
        encode = self.holding(type_).encode
        return plain if encode is None or plain is None else encode(plain)

    def free_of(self, type_: Type, held: Value) -> Any:
        """A value that the backend holds, in layout terms."""
        decode = self.holding(type_).decode
        return held if decode is None or held is None else decode(held)

    def free(self, item: Field, held: Value) -> Any:
        """A value of the field's own column as the application sees it."""
        if held is None:
            return frozenset[str]() if isinstance(item.declared, f.Tags) else None
        return application_value(item, self.free_of(item.declared.type, held))


def plain_value(item: Field, value: object) -> Any:
    """A value of the field in layout terms, checked by type but not by length (a filter may ask for anything)."""
    declared, name = item.declared, item.name
    match declared:
        case f.Text():
            return values.check_text(value, name)
        case f.Int():
            return values.check_int(value, name)
        case f.Real():
            return values.check_real(value, name)
        case f.Flag():
            return values.check_bool(value, name)
        case f.Time():
            return to_micros(value, name)  # type: ignore[arg-type]  # it checks the type itself
        case f.Duration():
            return _duration(value, name)
        case f.Bytes():
            return _bytes(value, name)
        case f.Address():
            return values.address(value, name)
        case f.Mac():
            return values.mac(value, name)
        case f.Json():
            return values.json_text(value, name)
        case f.Tags():
            return values.tags(value, name, declared.max)


def application_value(item: Field, plain: Any) -> Any:
    """What an application sees for a value in layout terms that is not NULL."""
    match item.declared:
        case f.Time():
            return from_micros(plain)
        case f.Duration():
            return _from_duration(plain)
        case f.Json():
            return values.parse_json(plain)
        case f.Tags():
            return frozenset(plain)
        case f.Flag():
            return bool(plain)  # the largest of booleans is a number on some engines
        case _:
            return plain


_DECODE: Mapping[type, str] = {
    f.Time: "EPOCH + timedelta(0, 0, {})",
    f.Duration: "from_duration({})",
    f.Json: "parse_json({})",
}


def _encode_lines(item: Field, names: dict[str, Any]) -> list[str]:
    """Source that checks ``v`` and sets the field's columns; limits are written in as literals."""
    name, declared, target = item.name, item.declared, f"c_{item.name}"
    match declared:
        case f.Text():
            lines = [f"if v.__class__ is not str or not v.isascii() or '\\0' in v: v = check_text(v, {name!r})"]
            if declared.choices is not None:
                names[f"choices_{name}"] = declared.choices
                lines.append(f"if v not in choices_{name}: raise bad_choice({name!r}, v, choices_{name})")
            else:
                least = f"not {declared.min} <= len(v)" if declared.min else "len(v)"
                joint = " <= " if declared.min else " > "
                lines.append(
                    f"if {least}{joint}{declared.max}: raise bad_length({name!r}, v, {declared.min}, {declared.max})"
                )
            return [*lines, f"{target} = v", *([f"c_{item.fold} = v.casefold()"] if item.fold else [])]
        case f.Int(least, most):
            # One test for what is right; what is not goes the careful way and gets its error there.
            test = f"if v.__class__ is not int or not {least} <= v <= {most}:"
            careful = [f"v = check_int(v, {name!r})", *_range_line(name, least, most)]
            return [test, *("    " + line for line in careful), f"{target} = v"]
        case f.Real(least, most):
            return [f"v = check_real(v, {name!r})", *_range_line(name, least, most), f"{target} = v"]
        case f.Flag():
            return [f"{target} = v if v is True or v is False else check_bool(v, {name!r})"]
        case f.Time():
            return [
                "if v.__class__ is datetime and v.tzinfo is UTC:",
                "    d = v - EPOCH",
                f"    {target} = (d.days * 86400 + d.seconds) * 1000000 + d.microseconds",
                f"else: {target} = to_micros(v, {name!r})",
            ]
        case f.Address():
            return [f"{target}, c_{item.order} = address(v, {name!r})"]
        case f.Json(most) | f.Bytes(most):
            check = "json_text" if isinstance(declared, f.Json) else "check_bytes"
            return [
                f"{target} = {check}(v, {name!r})",
                f"if len({target}) > {most}: raise bad_length({name!r}, {target}, 0, {most})",
            ]
        case f.Mac():
            return [f"{target} = mac(v, {name!r})"]
        case f.Duration():
            # 106,751,991 days are what 64 bits of microseconds hold.
            test = "v.__class__ is timedelta and -106751991 <= v.days < 106751991"
            return [f"{target} = v // MICROSECOND if {test} else duration(v, {name!r})"]
        case f.Tags(most):
            return [f"{target} = tags(v, {name!r}, {most})"]


def _range_line(name: str, least: float | None, most: float | None) -> list[str]:
    tests = [f"v < {least!r}"] if least is not None else []
    tests += [f"v > {most!r}"] if most is not None else []
    return [f"if {' or '.join(tests)}: raise bad_range({name!r}, v, {least!r}, {most!r})"] if tests else []
