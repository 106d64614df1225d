"""How values are held: texts so that Neo4j orders and searches them by code point, everything else as it is.

Neo4j compares some texts by UTF-8 and some by UTF-16, which disagree from U+FFFF up. A text without such characters is
held as it is. Each of them becomes U+FFFF and two digits of base 1,025, which are private characters below it; of those
private characters themselves, where a text has any, each becomes a mark of its own and two such digits. The marks stand
for nothing else, and no digit ever begins an escape: so held texts are equal, ordered, and prefixes and parts of one
another exactly where the texts are, and no answer has to be checked again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from iotstore.backend import Holding, Type

_HIGH: Final = 0xFFFF
_LOW: Final = 0xF4FE
_DIGIT: Final = 0xF4FF
_BASE: Final = 1_025
_LAST: Final = _DIGIT + _BASE - 1
_ESCAPED: Final = re.compile(f"[{chr(_LOW)}-{chr(_LAST)}{chr(_HIGH)}-\U0010ffff]")
_ESCAPE: Final = re.compile(f"[{chr(_LOW)}{chr(_HIGH)}](.)(.)", re.DOTALL)


def held_text(text: str) -> str:
    """The text as Neo4j holds it."""
    return text if text.isascii() else _ESCAPED.sub(_escape, text)


def plain_text(held: str) -> str:
    """The text that is held so."""
    return held if held.isascii() else _ESCAPE.sub(_unescape, held)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    mark = _HIGH if code >= _HIGH else _LOW
    high, low = divmod(code - mark, _BASE)
    return chr(mark) + chr(_DIGIT + high) + chr(_DIGIT + low)


def _unescape(found: re.Match[str]) -> str:
    high, low = ord(found[1]) - _DIGIT, ord(found[2]) - _DIGIT
    return chr(ord(found[0][0]) + high * _BASE + low)


def _held_bytes(data: bytes) -> str:
    # A character for each byte: an array of bytes can be stored, but neither ordered nor grouped.
    return data.decode("latin-1")


def _plain_bytes(held: str) -> bytes:
    return held.encode("latin-1")


def _held_tags(tags: tuple[str, ...]) -> list[str]:
    return [held_text(tag) for tag in tags]


def _plain_tags(held: list[str]) -> tuple[str, ...]:
    return tuple(plain_text(tag) for tag in held)


HOLDS: Final[Mapping[Type, Holding]] = {
    Type.TEXT: Holding(held_text, plain_text),
    Type.BYTES: Holding(_held_bytes, _plain_bytes),
    Type.TEXTSET: Holding(_held_tags, _plain_tags),
}
