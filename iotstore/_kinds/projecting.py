"""What a projection needs: that it is attached, what it has not heard of yet, what it refused, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from iotstore._kinds.fields import Int, Json, Text
from iotstore._kinds.kind import Kind, Record

#: The name of the one projection that a store can have.
GRAPH: Final = "graph"


class Attachment(Record, frozen=True, kw_only=True):
    """That a projection hangs on this store: from then on every process that opens it writes the outbox.

    *identity* says which store it is, *nonce* which batch was the last to be applied and taken out of the outbox, and
    *epoch* who may take out the next one.
    """

    name: Annotated[str, Text(20, min=1)]
    identity: Annotated[str, Text(40)]
    since: datetime
    place: Annotated[str, Text(2000)]
    nonce: Annotated[str, Text(40)] = ""
    batch: Annotated[int, Int(min=0)] = 0
    epoch: Annotated[int, Int(min=0)] = 0


class Outgoing(Record, frozen=True, kw_only=True):
    """One record that changed and that the projection has not heard of yet.

    *writer* is one open store and *stamp* grows within it, so nobody waits for anybody to get a number. Both only name
    the row: what a projection takes in is the record as it is by then, so no order of rows has a meaning.
    """

    stamp: int
    writer: int
    kind: Annotated[str, Text(48, min=1)]
    key: Annotated[str, Text(8192)]
    version: int
    action: Literal["insert", "update", "delete", "repair", "replay", "redraw"]
    time: datetime


class DeadLetter(Record, frozen=True, kw_only=True):
    """A record that the projection refused, with the error. It stays as it was there until somebody replays it, or the
    record changes."""

    kind: Annotated[str, Text(48, min=1)]
    digest: Annotated[str, Text(64)]
    key: Annotated[str, Text(8192)]
    error: Annotated[str, Text(4000)]
    time: datetime
    attempts: Annotated[int, Int(min=1)] = 1


class Checkpoint(Record, frozen=True, kw_only=True):
    """How far a projection is; kept in it, and written with every batch in the batch's own transaction.

    *epoch*, *holder* and *until* are the lease of the projector at work. *nonce* and *previous* name the last batch and
    the one before it. *touched* are the keys of the last batch, so that it can be repeated exactly.
    """

    name: Annotated[str, Text(20, min=1)]
    identity: Annotated[str, Text(40)] = ""
    shape: Annotated[str, Text(64)] = ""
    state: Literal["new", "building", "live"] = "new"
    position: Annotated[Any, Json()] = None
    nonce: Annotated[str, Text(40)] = ""
    previous: Annotated[str, Text(40)] = ""
    batch: Annotated[int, Int(min=0)] = 0
    touched: Annotated[Any, Json()] = None
    applied: Annotated[int, Int(min=0)] = 0
    settle: datetime | None = None
    time: datetime | None = None
    epoch: Annotated[int, Int(min=0)] = 0
    holder: Annotated[str, Text(200)] = ""
    until: datetime | None = None


ATTACHMENTS: Final = Kind(Attachment, "projection", "name")
OUTBOX: Final = Kind(Outgoing, "outbox", ("stamp", "writer"), noun="outbox row")
LETTERS: Final = Kind(DeadLetter, "dead_letter", ("kind", "digest"), noun="dead letter")
#: Kept in the projection only.
CHECKPOINTS: Final = Kind(Checkpoint, "projection_checkpoint", "name")
