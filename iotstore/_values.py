"""Canonical values: what the contract accepts of text, numbers, JSON, addresses, and the one form each is stored in.

Every function returns the canonical value or raises InvalidValue with the field's name.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias, cast

import msgspec

from iotstore.errors import InvalidValue

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
MAX_JSON_DEPTH: Final = 100

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_json_encoder = msgspec.json.Encoder(order="sorted")
_json_decoder = msgspec.json.Decoder()
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}\Z", re.ASCII)
_MAC_DOTTED: Final = re.compile(r"[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\Z", re.ASCII)


def wrong_type(wanted: str, value: object, field: str | None) -> InvalidValue:
    """The error for a value of another type; it names the type, never the value."""
    return InvalidValue(f"expected {wanted}, got {type(value).__name__}", field=field)


def check_text(value: object, field: str | None = None) -> str:
    """Well-formed text without NUL; never normalised, folded or cut."""
    if not isinstance(value, str):
        raise wrong_type("text", value, field)
    if "\0" in value:
        raise InvalidValue("text holds a NUL character", field=field, hint="remove it or store bytes")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidValue(
                f"text holds a lone surrogate at position {error.start}", field=field, hint="decode its source properly"
            ) from error
    # A subclass of str (an enum member) is stored, and comes back, as plain text.
    return value if type(value) is str else str.__str__(value)


def check_int(value: object, field: str | None = None) -> int:
    """A 64-bit signed integer; booleans and floats are refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("an integer", value, field)
    if not MIN_INT <= value <= MAX_INT:
        raise InvalidValue("integer beyond 64 bits", field=field)
    return int(value)


def check_real(value: object, field: str | None = None) -> float:
    """A finite double; integers are taken when a double holds them exactly; -0.0 becomes 0.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type("a number", value, field)
    try:
        number = float(value)
    except OverflowError as error:
        raise InvalidValue("integer that no double holds exactly", field=field) from error
    if not math.isfinite(number):
        raise InvalidValue(f"{number} is not a finite number", field=field, hint="leave the value out instead")
    if number != value:
        raise InvalidValue("integer that no double holds exactly", field=field)
    return number + 0.0


def check_bool(value: object, field: str | None = None) -> bool:
    """A boolean, nothing that merely looks like one."""
    if not isinstance(value, bool):
        raise wrong_type("a boolean", value, field)
    return value


def fold(value: str) -> str:
    """The form that case-insensitive search compares."""
    return value.casefold()


def address(value: object, field: str | None = None) -> str:
    """An IPv4 or IPv6 address in its one canonical form, the same on every Python version."""
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        parsed = value
    elif isinstance(value, str):
        # Digits of other scripts and a trailing newline are refused by the standard library on some versions only.
        if not value.isascii() or not value.isprintable():
            raise InvalidValue(f"{value!r} is not an IP address", field=field)
        try:
            parsed = ipaddress.ip_address(value)
        except ValueError as error:
            raise InvalidValue(f"{value!r} is not an IP address", field=field) from error
    else:
        raise wrong_type("an IP address", value, field)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.scope_id is not None:
        raise InvalidValue(f"{value!r} has a scope id, which means something on one machine only", field=field)
    return _format_v6(parsed.packed)


def _format_v6(packed: bytes) -> str:
    # Own formatter: Python 3.13 prints ::ffff:1.2.3.4 where 3.12 prints ::ffff:102:304. Always hexadecimal here.
    groups = [packed[i] << 8 | packed[i + 1] for i in range(0, 16, 2)]
    best_start, best_length, start = -1, 1, -1
    for index, group in enumerate([*groups, 1]):
        if group == 0 and index < 8:
            start = index if start < 0 else start
        elif start >= 0:
            if index - start > best_length:
                best_start, best_length = start, index - start
            start = -1
    texts = [format(group, "x") for group in groups]
    if best_start < 0:
        return ":".join(texts)
    return ":".join(texts[:best_start]) + "::" + ":".join(texts[best_start + best_length :])


def address_order(canonical: str) -> str:
    """A text that orders addresses by version, then value."""
    if ":" not in canonical:
        a, b, c, d = canonical.split(".")
        return f"4{int(a):02x}{int(b):02x}{int(c):02x}{int(d):02x}"
    return "6" + ipaddress.IPv6Address(canonical).packed.hex()


def address_of_order(order: str) -> str:
    """The canonical address that ``address_order`` made *order* of."""
    packed = bytes.fromhex(order[1:])
    return ".".join(map(str, packed)) if order[0] == "4" else _format_v6(packed)


def network_range(network: object, field: str | None = None) -> tuple[str, str]:
    """The first and last address order of a network such as ``192.168.1.0/24``."""
    text = str(network)
    if "%" in text:
        raise InvalidValue(f"{network!r} is not a network: it has a scope id", field=field)
    try:
        parsed = ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidValue(f"{network!r} is not a network: {error}", field=field) from error
    version = str(parsed.version)
    return version + parsed.network_address.packed.hex(), version + parsed.broadcast_address.packed.hex()


def mac(value: object, field: str | None = None) -> str:
    """A MAC address in lower case with colons."""
    if not isinstance(value, str):
        raise wrong_type("a MAC address", value, field)
    if not (_MAC.match(value) or _MAC_DOTTED.match(value)):
        raise InvalidValue(f"{value!r} is not a MAC address", field=field, hint="write it like 00:1a:2b:3c:4d:5e")
    digits = re.sub("[:.-]", "", value).lower()
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def json_text(value: object, field: str | None = None) -> str:
    """Canonical JSON text: names sorted, 64-bit integers, finite doubles, depth at most 100."""
    _check_json(value, field, 1)
    text = _json_encoder.encode(value).decode()
    return text if "-0.0" not in text else _json_encoder.encode(_without_negative_zero(value)).decode()


def _without_negative_zero(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [_without_negative_zero(member) for member in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _without_negative_zero(member) for name, member in cast("dict[str, Any]", value).items()}
    return value


def parse_json(text: str) -> Any:
    """The value of canonical JSON text."""
    return _json_decoder.decode(text)


def _check_json(value: object, field: str | None, depth: int) -> None:
    if value is None or value is True or value is False:
        return
    if isinstance(value, str):
        check_text(value, field)
    elif isinstance(value, int):
        check_int(value, field)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue(f"JSON holds {value}, which is not a finite number", field=field)
    elif isinstance(value, dict | list):
        if depth > MAX_JSON_DEPTH:
            raise InvalidValue(f"JSON is nested deeper than {MAX_JSON_DEPTH}", field=field)
        members = cast("list[object]", value)
        if isinstance(value, dict):
            named = cast("dict[object, object]", value)
            for name in named:
                if not isinstance(name, str):
                    raise InvalidValue(f"JSON object has a name of type {type(name).__name__}", field=field)
                check_text(name, field)
            members = list(named.values())
        for member in members:
            _check_json(member, field, depth + 1)
    else:
        raise InvalidValue(f"JSON can't hold a {type(value).__name__}", field=field)


def tags(value: object, field: str | None, max_length: int) -> tuple[str, ...] | None:
    """A sorted tuple of distinct texts; None for the empty set."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise wrong_type("a set of texts", value, field)
    members = {check_text(member, field) for member in cast("Iterable[object]", value)}
    for member in members:
        if not 0 < len(member) <= max_length:
            raise InvalidValue(f"a tag has {len(member)} characters; allowed are 1 to {max_length}", field=field)
    return tuple(sorted(members)) or None
