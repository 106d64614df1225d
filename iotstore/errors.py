"""The whole error tree: what happened, to which value, what to do next.

::

    StoreError
    ├── Refused                     the request itself is wrong; the store is as it was
    │   ├── InvalidValue            a value, name, filter or option that the contract does not accept
    │   ├── BatchRejected           a batch with invalid rows under on_invalid="raise"
    │   ├── UnknownReference        a record points to one that does not exist
    │   ├── LimitExceeded           a question whose answer, or the work for it, is larger than is allowed
    │   ├── Unsupported             the backend does not have this capability
    │   ├── NotAllowed              the store is closed, read-only or in the wrong state for this call
    │   └── ConfigurationError      a URL, setting or plugin that can't be used
    │       └── BackendUnavailable  no backend for this URL scheme, or its driver is not installed
    ├── NotFound                    no record with this key
    ├── Conflict                    another record, version or request is in the way
    │   ├── VersionConflict         the record changed since the version that was expected
    │   ├── StillReferenced         other records point to the one to be deleted
    │   └── IdempotencyConflict     the idempotency key was used for another payload
    ├── Overflow                    an exact result does not fit its type
    ├── Failed                      the engine could not do it
    │   ├── Busy                    somebody else holds the store or its pool; retrying can help
    │   │   └── Lagging             a projection has not caught up within the time that was waited
    │   ├── Unreachable             the server or file can't be reached
    │   ├── StorageFull             no room left
    │   ├── ReadOnly                the file, directory or server takes no writes
    │   └── EngineError             anything else the driver reported
    ├── Damaged                     the stored data can't be trusted
    │   ├── NotAStore               the file or database is not one of ours
    │   ├── Corrupt                 the file is damaged
    │   ├── NewerSchema             written by a newer version
    │   ├── MigrationNeeded         the declared kinds differ from the stored ones in a way that needs a step
    │   └── Diverged                a projection does not belong to its primary, or no longer
    └── BackupError                 a backup could not be taken, proven or restored

Driver exceptions never escape: each is translated once and chained. ``retryable`` says whether the same call
can succeed later without a change.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BackendUnavailable",
    "BackupError",
    "BatchRejected",
    "Busy",
    "ConfigurationError",
    "Conflict",
    "Corrupt",
    "Damaged",
    "Diverged",
    "EngineError",
    "Failed",
    "IdempotencyConflict",
    "InvalidValue",
    "Lagging",
    "LimitExceeded",
    "MigrationNeeded",
    "NewerSchema",
    "NotAStore",
    "NotAllowed",
    "NotFound",
    "Overflow",
    "ReadOnly",
    "Refused",
    "Rejected",
    "StillReferenced",
    "StorageFull",
    "StoreError",
    "UnknownReference",
    "Unreachable",
    "Unsupported",
    "VersionConflict",
]


class StoreError(Exception):
    """Root of every error that this library raises.

    *hint* says what to do next and is part of the text.
    """

    retryable = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint


class Refused(StoreError):
    """The request itself is wrong. Nothing was changed; the same request will be refused again."""


class InvalidValue(Refused):
    """A value, name, filter or option that the contract does not accept. *field* names where it stood."""

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message, hint=hint)
        self.reason = message
        self.field = field


class Rejected:
    """One refused row of a batch: its index in the batch, the field and the reason."""

    __slots__ = ("field", "index", "reason")

    def __init__(self, index: int, field: str | None, reason: str) -> None:
        self.index = index
        self.field = field
        self.reason = reason

    def __repr__(self) -> str:
        return f"Rejected(index={self.index}, field={self.field!r}, reason={self.reason!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rejected):
            return NotImplemented
        return (self.index, self.field, self.reason) == (other.index, other.field, other.reason)

    def __hash__(self) -> int:
        return hash((self.index, self.field, self.reason))


class BatchRejected(Refused):
    """A batch had invalid rows under ``on_invalid="raise"``; nothing of it was stored. *rejected* lists them."""

    def __init__(self, rejected: Sequence[Rejected], total: int) -> None:
        first = rejected[0]
        where = f"row {first.index}" + (f", field {first.field}" if first.field else "")
        super().__init__(
            f"{len(rejected)} of {total} rows are invalid and nothing was stored; first: {where}: {first.reason}",
            hint='mend them, or pass on_invalid="reject" to store the good rows',
        )
        self.rejected = tuple(rejected)


class UnknownReference(Refused):
    """A record points to one that does not exist."""

    def __init__(self, message: str, *, field: str, hint: str | None = None) -> None:
        super().__init__(f"{field}: {message}", hint=hint)
        self.reason = message
        self.field = field


class LimitExceeded(Refused):
    """A question whose answer, or the work for it, is larger than is allowed: *what* there are more than *limit* of.

    Nothing of it is answered: a part would look like the whole.
    """

    def __init__(self, message: str, *, what: str, limit: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.what = what
        self.limit = limit


class Unsupported(Refused):
    """The backend does not have this capability. Names the capability, the backend, the reason and the remedy."""

    def __init__(self, capability: str, backend: str, reason: str, *, remedy: str | None = None) -> None:
        super().__init__(f"{backend} does not support {capability}: {reason}", hint=remedy)
        self.capability = capability
        self.backend = backend
        self.reason = reason


class NotAllowed(Refused):
    """The store is closed, read-only, or in the wrong state for this call."""


class ConfigurationError(Refused):
    """A URL, setting or plugin that can't be used."""


class BackendUnavailable(ConfigurationError):
    """No backend is known for the URL's scheme, or its driver is not installed. Names the pip command."""


class NotFound(StoreError):
    """No record of this *kind* has this *key*."""

    def __init__(self, kind: str, key: object, *, hint: str | None = None) -> None:
        super().__init__(f"no {kind} with key {key!r}", hint=hint)
        self.kind = kind
        self.key = key


class Conflict(StoreError):
    """Another record, version or request is in the way. Nothing was changed."""


class VersionConflict(Conflict):
    """The record changed since the version that was *expected*; *found* is the version it has now."""

    def __init__(self, kind: str, key: object, expected: int, found: int) -> None:
        super().__init__(
            f"{kind} {key!r} has version {found}, not the expected {expected}",
            hint="read it again, apply the change to what is there now, and retry",
        )
        self.expected = expected
        self.found = found


class StillReferenced(Conflict):
    """Other records point to the one that was to be deleted, and the declared action is to refuse."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used for another payload. Nothing was changed."""


class Overflow(StoreError):
    """An exact result does not fit its type (64-bit integer or finite double)."""


class Failed(StoreError):
    """The engine could not do it. A failed call has changed nothing that was not acknowledged."""


class Busy(Failed):
    """Somebody else holds the store, a lock or the pool, for longer than the declared time.

    *victim* says that the engine ended this transaction so that others, which it and they waited for in a circle, can
    go on. A call that is a transaction of its own was tried again before it raises this.
    """

    retryable = True
    victim = False


class Lagging(Busy):
    """A projection has not caught up with the caller's own writes within the time that was waited."""


class Unreachable(Failed):
    """The server or file can't be reached."""

    retryable = True


class StorageFull(Failed):
    """No room is left on the disk, or the declared size limit is reached."""

    retryable = True


class ReadOnly(Failed):
    """The file, directory or server takes no writes."""


class EngineError(Failed):
    """Anything else that the driver reported; the cause is chained."""


class Damaged(StoreError):
    """The stored data can't be trusted as it is. The store stops instead of starting empty."""


class NotAStore(Damaged):
    """The file or database exists but is not one of ours. It was not touched."""


class Corrupt(Damaged):
    """The file is damaged. It was not touched; the text says what to run."""


class NewerSchema(Damaged):
    """The data was written by a newer version of the library or application. It was not touched."""


class MigrationNeeded(Damaged):
    """The declared kinds differ from the stored ones in a way that needs a declared step."""


class Diverged(Damaged):
    """A projection does not belong to its primary, or no longer: one of them was restored, or is another store's. The
    primary is right; the projection is not written to, and answers nothing, until it is made anew."""


class BackupError(StoreError):
    """A backup could not be taken, proven or restored. The target of a restore is as it was."""
