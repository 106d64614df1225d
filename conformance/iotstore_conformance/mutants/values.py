"""Mutants of values: text, numbers, times, JSON and addresses that don't come back as they went in."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from iotstore import InvalidValue
from iotstore.backend import Layout, Row, Type
from iotstore_conformance.kinds import WIDEST
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, changed, records_in, rows_in, rows_out, values_in


def _retried(breaking: Breaking, guess: Any) -> None:
    """Add a refused record again as *guess* makes it from the record and the error, if it makes anything of it."""

    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        try:
            return right(record)
        except InvalidValue as error:
            guessed = guess(record, error)
            if guessed is None:
                raise
            return right(guessed)


def _texts(record: Any, change: Any) -> Any:
    texts = {name: getattr(record, name) for name in record.__struct_fields__}
    return changed(record, **{name: change(text) for name, text in texts.items() if isinstance(text, str)})


@mutant("text-is-cut", kills=("VAL-001", "VAL-007"), sentence="Text is cut at 4000 characters.")
def _cut(breaking: Breaking) -> None:
    values_in(breaking, Type.TEXT, lambda text: text[:4000])


@mutant("text-is-trimmed", kills=("VAL-001", "VAL-002"), sentence="Spaces at the end of a text are not stored.")
def _trimmed(breaking: Breaking) -> None:
    values_in(breaking, Type.TEXT, lambda text: text.rstrip(" "))


@mutant("empty-is-missing", kills=("VAL-026", "VAL-027"), sentence="Empty text and empty bytes are stored as missing.")
def _empty(breaking: Breaking) -> None:
    def row_in(layout: Layout, row: Row) -> Row:
        return tuple(
            None if column.nullable and value in ("", b"") else value
            for column, value in zip(layout.columns, row, strict=True)
        )

    rows_in(breaking, row_in)


@mutant("nul-is-dropped", kills=("VAL-004",), sentence="NUL characters in text are left out instead of refused.")
def _nul(breaking: Breaking) -> None:
    records_in(breaking, lambda record: _texts(record, lambda text: text.replace("\0", "")))


@mutant("surrogates-are-replaced", kills=("VAL-005",), sentence="Lone surrogates become question marks.")
def _surrogates(breaking: Breaking) -> None:
    def whole(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    records_in(breaking, lambda record: _texts(record, whole))


@mutant("too-long-is-cut", kills=("VAL-006",), sentence="What is too long is cut quietly instead of refused.")
def _too_long(breaking: Breaking) -> None:
    def guess(record: Any, error: InvalidValue) -> Any:
        value = getattr(record, error.field or "", None)
        if isinstance(value, bytes):
            return changed(record, **{str(error.field): value[:WIDEST]})
        return _texts(record, lambda text: text[:60]) if isinstance(value, str) and len(value) > 60 else None

    _retried(breaking, guess)


@mutant("integers-pass-through-doubles", kills=("VAL-010",), sentence="Integers beyond 2^53 are read as doubles are.")
def _through_doubles(breaking: Breaking) -> None:
    def row_out(layout: Layout, row: Row) -> Row:
        return tuple(
            int(math.copysign(min(abs(float(value)), 9.2e18), value))
            if column.type is Type.INT and type(value) is int and abs(value) > 2**53
            else value
            for column, value in zip(layout.columns, row, strict=True)
        )

    rows_out(breaking, row_out)


@mutant("numbers-are-guessed", kills=("VAL-011", "ERR-003"), sentence="Text and doubles are taken for integers.")
def _guessed(breaking: Breaking) -> None:
    def guess(record: Any, error: InvalidValue) -> Any:
        value = getattr(record, error.field or "", None)
        if type(value) not in (str, float) or (isinstance(value, float) and not math.isfinite(value)):
            return None
        digits = str(value).partition(".")[0]
        return changed(record, **{str(error.field): int(digits)}) if digits.isdigit() else None

    _retried(breaking, guess)


@mutant("doubles-have-twelve-digits", kills=("VAL-012",), sentence="Doubles are stored with twelve digits.")
def _twelve_digits(breaking: Breaking) -> None:
    values_in(breaking, Type.REAL, lambda value: float(f"{value:.12g}") if isinstance(value, float) else value)


@mutant("zero-keeps-its-sign", kills=("VAL-013",), sentence="The double -0.0 is answered as it was given.")
def _signed_zero(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        given = getattr(record, "real", None)
        stored = right(record)
        return changed(stored, real=given) if isinstance(given, float) and given == 0.0 else stored


@mutant("no-number-is-missing", kills=("VAL-014", "ALR-013"), sentence="NaN and infinities are stored as missing.")
def _no_number(breaking: Breaking) -> None:
    def known(record: Any) -> Any:
        fields = {name: getattr(record, name) for name in getattr(record, "__struct_fields__", ())}
        lost = {name: None for name, value in fields.items() if isinstance(value, float) and not math.isfinite(value)}
        return changed(record, **lost) if lost else record

    records_in(breaking, known)


@mutant("booleans-are-numbers", kills=("VAL-016",), sentence="Booleans of records come back as 1 and 0.")
def _bits(breaking: Breaking) -> None:
    def bits(record: Any) -> Any:
        flag = getattr(record, "flag", None)
        return record if flag is None else changed(record, flag=int(flag))

    answers(breaking, "collection", "get", bits)


@mutant("naive-times-are-utc", kills=("VAL-020",), sentence="A time without a zone is taken for UTC.")
def _naive(breaking: Breaking) -> None:
    def aware(record: Any) -> Any:
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        naive = {name: v.replace(tzinfo=UTC) for name, v in fields.items() if isinstance(v, datetime) and not v.tzinfo}
        return changed(record, **naive) if naive else record

    records_in(breaking, aware)


@mutant("offsets-are-dropped", kills=("VAL-021", "FLT-016"), sentence="A time's offset is dropped, not applied.")
def _dropped(breaking: Breaking) -> None:
    def local(record: Any) -> Any:
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        shifted = {name: value for name, value in fields.items() if isinstance(value, datetime) and value.utcoffset()}
        return changed(record, **{name: value.replace(tzinfo=UTC) for name, value in shifted.items()})

    records_in(breaking, local)


@mutant("microseconds-are-cut", kills=("VAL-022", "CON-002"), sentence="Times of records are stored in milliseconds.")
def _milliseconds(breaking: Breaking) -> None:
    values_in(breaking, Type.TIME, lambda time: time // 1000 * 1000 if isinstance(time, int) else time)


@mutant(
    "times-are-pulled-into-the-calendar", kills=("VAL-023",), sentence="An instant before year 1 becomes its start."
)
def _pulled(breaking: Breaking) -> None:
    def guess(record: Any, error: InvalidValue) -> Any:
        if not isinstance(getattr(record, error.field or "", None), datetime) or "9999" not in str(error):
            return None
        return changed(record, **{str(error.field): datetime.min.replace(tzinfo=UTC)})

    _retried(breaking, guess)


@mutant("durations-are-whole-seconds", kills=("VAL-024", "CON-002"), sentence="Durations are stored in seconds.")
def _seconds(breaking: Breaking) -> None:
    def cut(record: Any) -> Any:
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        spans = {name: value for name, value in fields.items() if isinstance(value, timedelta)}
        return changed(record, **{name: timedelta(days=v.days, seconds=v.seconds) for name, v in spans.items()})

    records_in(breaking, cut)


@mutant("tags-fold-case", kills=("VAL-025", "FIL-014"), sentence="Tags are stored in small letters.")
def _small_tags(breaking: Breaking) -> None:
    def small(record: Any) -> Any:
        tags = getattr(record, "tags", None)
        return changed(record, tags=frozenset(map(str.lower, tags))) if isinstance(tags, frozenset) else record

    records_in(breaking, small)


@mutant("bytes-end-at-nul", kills=("VAL-026", "VAL-006"), sentence="Bytes end at the first NUL.")
def _c_strings(breaking: Breaking) -> None:
    values_in(breaking, Type.BYTES, lambda value: value.partition(b"\0")[0] if isinstance(value, bytes) else value)


@mutant(
    "adding-answers-what-was-given",
    kills=("VAL-028", "VAL-043"),
    sentence="Adding a device answers the record as it was given, not as it is stored.",
)
def _given(breaking: Breaking) -> None:
    @breaking.wrong("devices", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        right(record)
        return record


def _integral(value: Any) -> Any:
    if isinstance(value, list):
        return [_integral(member) for member in value]
    if isinstance(value, dict):
        return {name: _integral(member) for name, member in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


@mutant("json-loses-types", kills=("VAL-030",), sentence="Whole doubles in JSON become integers.")
def _untyped(breaking: Breaking) -> None:
    def untyped(record: Any) -> Any:
        return changed(record, json=_integral(record.json)) if hasattr(record, "json") else record

    records_in(breaking, untyped)


@mutant("what-is-no-json-is-its-text", kills=("VAL-031", "VAL-032"), sentence="What is no JSON is stored as its text.")
def _text_of(breaking: Breaking) -> None:
    _retried(breaking, lambda record, error: changed(record, json="?") if str(error.field).startswith("json") else None)


@mutant("unfit-questions-find-nothing", kills=("VAL-033", "FIL-020", "FIL-021", "FIL-022"),
        sentence="A filter or order that makes no sense finds nothing instead of being refused.")  # fmt: skip
def _unfit(breaking: Breaking) -> None:
    @breaking.wrong("collection", "list")
    def _list(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except InvalidValue:
            return []


@mutant("addresses-are-kept-in-capitals", kills=("VAL-040", "VAL-043"),
        sentence="IP and MAC addresses are stored in capital letters.")  # fmt: skip
def _capitals(breaking: Breaking) -> None:
    def row_in(layout: Layout, row: Row) -> Row:
        return tuple(
            value.upper() if column.name in ("ip", "mac") and isinstance(value, str) else value
            for column, value in zip(layout.columns, row, strict=True)
        )

    rows_in(breaking, row_in)


@mutant("addresses-sort-as-text", kills=("VAL-041",), sentence="IP addresses are ordered by their text.")
def _as_text(breaking: Breaking) -> None:
    @breaking.wrong("session", "select")
    def _select(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        if not query.order or "ip" not in (query.order[0].column, layout.column(query.order[0].column).shadow_of):
            return rows
        return sorted(rows, key=lambda row: row[layout.position["ip"]] or "")


@mutant("bad-addresses-are-tidied", kills=("VAL-042",), sentence="Spaces around an IP address are taken away.")
def _tidied(breaking: Breaking) -> None:
    def guess(record: Any, error: InvalidValue) -> Any:
        return changed(record, ip=record.ip.strip()) if error.field == "ip" and record.ip.strip() != record.ip else None

    _retried(breaking, guess)


@mutant("text-orders-by-utf-16", kills=("VAL-003",), sentence="Text is ordered by UTF-16 units, as some engines do.")
def _utf_16(breaking: Breaking) -> None:
    @breaking.wrong("session", "select")
    def _select(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        if not query.order or layout.column(query.order[0].column).type is not Type.TEXT:
            return rows
        at = layout.position[query.order[0].column]
        return sorted(rows, key=lambda row: str(row[at] or "").encode("utf-16-be"), reverse=query.order[0].descending)
