"""The manifest of a backup: what it holds, with counts and digests, and the seal that proves the manifest itself."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

from iotstore.errors import BackupError

#: Raised when the canonical encoding, the parts or the manifest change their meaning.
FORMAT: Final = 1
_SEAL: Final = re.compile(rb',\n  "seal": "([0-9a-f]{64})"\n\}\n\Z')


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One collection: how many records or points it has, and the digest of its canonical lines."""

    name: str
    count: int
    digest: str


class KindEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stored kind as the store describes it."""

    name: str
    version: int
    description: Any


class NativeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a native backup: its size, and the digest of its bytes."""

    size: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backup holds. *collections* are in reference order, points last; *counters* give the next numbers."""

    format: int = FORMAT
    library: str
    created: str
    label: str | None
    backend: str
    kinds: tuple[KindEntry, ...]
    counters: dict[str, int]
    collections: tuple[Summary, ...]
    native: NativeFile | None = None

    @property
    def rows(self) -> int:
        """Records and points together."""
        return sum(summary.count for summary in self.collections)


class _Format(msgspec.Struct):
    format: int


def digest(data: bytes) -> str:
    """The digest that everything in a backup is proven by: BLAKE2b of 256 bits, in hexadecimal."""
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def seal(manifest: Manifest) -> bytes:
    """The manifest as a JSON text whose last member, ``seal``, is the digest of every byte before that member."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2).removesuffix(b"\n}")
    return body + f',\n  "seal": "{digest(body)}"\n}}\n'.encode()


def unseal(data: bytes, name: str) -> Manifest:
    """The manifest in a sealed text; BackupError when a byte of it changed or a newer version wrote it."""
    found = _SEAL.search(data)
    if found is None or digest(data[: found.start()]) != found[1].decode():
        raise BackupError(f"the manifest of {name} is damaged", hint="use another backup")
    body = data[: found.start()] + b"\n}"
    try:
        written = msgspec.json.decode(body, type=_Format).format
        if written > FORMAT:
            raise BackupError(
                f"{name} has format {written}; this version reads up to {FORMAT}",
                hint="use a newer version of the library",
            )
        return msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupError(f"the manifest of {name} is not as the format wants it: {error}") from error
