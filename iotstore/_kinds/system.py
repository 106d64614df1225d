"""What the store keeps about itself: descriptions of kinds, claimed idempotency keys, settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from iotstore._kinds.fields import Json, Text
from iotstore._kinds.kind import Kind, Record, Retention, Tracked


class StoredKind(Record, frozen=True, kw_only=True):
    """The description of a kind as data: kinds whose code is not loaded are still backed up and copied by it."""

    name: Annotated[str, Text(60, min=1)]
    version: int
    description: Annotated[Any, Json()]


class Claim(Record, frozen=True, kw_only=True):
    """An idempotency key, the digest of what was sent under it, and the receipt it got."""

    key: Annotated[str, Text(200, min=1)]
    time: datetime
    digest: Annotated[str, Text(64)]
    receipt: Annotated[Any, Json()] = None


class Setting(Tracked, frozen=True, kw_only=True):
    """One named setting of the application."""

    name: Annotated[str, Text(120, min=1)]
    value: Annotated[Any, Json()] = None


KINDS: Final = Kind(StoredKind, "stored_kind", "name")
CLAIMS: Final = Kind(
    Claim, "claim", "key", indexes=[["time"]], noun="idempotency key", retention=Retention("time", timedelta(days=7))
)
SETTINGS: Final = Kind(Setting, "setting", "name")
