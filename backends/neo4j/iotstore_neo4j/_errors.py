"""The border: every error of the driver becomes one of the core's, by its code, chained by whoever raises it.

Texts name the code and what to do, never what the server says of a value: a value may be a secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Final

from neo4j._exceptions import BoltError, SocketDeadlineExceededError
from neo4j.exceptions import (
    ConfigurationError as DriverConfigurationError,
)
from neo4j.exceptions import (
    ConnectionAcquisitionTimeoutError,
    ConstraintError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    UnsupportedServerProduct,
)

from iotstore.backend import (
    BackendUnavailable,
    Busy,
    ConfigurationError,
    Conflict,
    Corrupt,
    EngineError,
    NotAllowed,
    Overflow,
    ReadOnly,
    StorageFull,
    StoreError,
    Unreachable,
)

#: What the driver raises. Some of what it meets while it connects has public names only in its parents.
DRIVER_ERRORS: Final[tuple[type[Exception], ...]] = (
    Neo4jError,
    DriverError,
    BoltError,
    SocketDeadlineExceededError,
    OSError,
)
#: A connection that was lost: what was asked may be asked again elsewhere if it changes nothing.
LOST: Final[tuple[type[Exception], ...]] = (ServiceUnavailable, SessionExpired, OSError)


def closed_error() -> NotAllowed:
    """The store was closed."""
    return NotAllowed("the store is closed", hint="open it again")


def ended_error() -> NotAllowed:
    """The session is over."""
    return NotAllowed("this session has ended", hint="begin another one")


def _told(make: Callable[..., StoreError], text: str, hint: str | None) -> Callable[[str], StoreError]:
    return lambda detail: make(f"{text} ({detail})", hint=hint)


_engine = _told(EngineError, "Neo4j failed", None)
_login = _told(ConfigurationError, "the server refused the login", "check user and password in the URL")
_busy = _told(Busy, "another transaction is in the way", "retry")
_down = _told(Unreachable, "the server is starting, stopping or changing its leader", "retry when it is up again")
_corrupt = _told(Corrupt, "the server found damaged data", "look at its log and disk, and restore the last good backup")
_memory = _told(
    EngineError,
    "the transaction needs more memory than the server has for it",
    "write less in one transaction, or raise dbms.memory.transaction.total.max or the heap there",
)

# By the end of the code, whatever class it stands in: the first that fits.
_CODES: Final[Mapping[str, Callable[[str], StoreError]]] = {
    # Marked as transient, and never going away by itself.
    "General.MemoryPoolOutOfMemoryError": _memory,
    "General.OutOfMemoryError": _memory,
    "General.TransactionOutOfMemoryError": _memory,
    "General.StackOverFlowError": _told(EngineError, "the statement is too deep for the server", "ask for less"),
    "General.DatabaseUnavailable": _down,
    "General.ForbiddenOnReadOnlyDatabase": _told(
        ReadOnly, "the database takes no writes", "reads need its lock too: open another database"
    ),
    "General.WriteOnReadOnlyAccessDatabase": _told(
        ReadOnly, "the database takes no writes", "reads need its lock too: open another database"
    ),
    "Security.Forbidden": _told(ReadOnly, "the user may not do this", "GRANT it the right to read and to write"),
    "Security.Unauthorized": _login,
    "Security.CredentialsExpired": _told(
        ConfigurationError, "the password has to be changed", "log in to the server once and change it"
    ),
    "Security.AuthenticationRateLimit": _told(Busy, "the server refused too many logins", "wait, then retry"),
    "Database.DatabaseNotFound": _told(
        Unreachable, "the database does not exist", "create it there, or check the name in the URL"
    ),
    "Statement.ArithmeticError": _told(EngineError, "Neo4j could not compute a value", None),
    "Transaction.TransactionTimedOut": _told(
        Busy, "the server ended the transaction", "keep transactions short, or raise the option transaction_timeout"
    ),
    "Transaction.TransactionTimedOutClientConfiguration": _told(
        Busy, "the server ended the transaction", "keep transactions short, or raise the option transaction_timeout"
    ),
    "Transaction.LockAcquisitionTimeout": _told(Busy, "a lock was not free in time", "retry"),
    "Transaction.LockClientStopped": _told(Busy, "the server ended the transaction", "retry"),
    "Transaction.Terminated": _told(Busy, "the transaction was ended on the server", "retry"),
    "Transaction.DeadlockDetected": _told(
        Busy, "two transactions waited for each other and this one was ended", "retry the transaction"
    ),
    "Transaction.BookmarkTimeout": _told(
        Busy, "the server has not caught up with what this store wrote", "retry when it has"
    ),
    "Cluster.NotALeader": _down,
}
# Words of the server's own, where a code says too little.
_WORDS: Final[tuple[tuple[str, Callable[[str], StoreError]], ...]] = (
    ("No space left on device", _told(StorageFull, "no room is left on the server's disk", "free space, then retry")),
    ("memory pool", _memory),
)


def translated(error: BaseException) -> StoreError:
    """The core's error for one of the driver's; whoever raises it chains the driver's own."""
    if _distrusted(error):
        return ConfigurationError(
            f"the server's certificate is not trusted ({type(error).__name__})",
            hint="give the authority's file with the option trust, and use the host name that the certificate is for",
        )
    match error:
        case IncompleteCommit():
            return EngineError(
                "the connection was lost while the transaction was committed: nobody here knows whether it is stored",
                hint="look whether it is there before you repeat it, or give batches an idempotency_key",
            )
        case Neo4jError():
            return _by_code(error, error.code or "")
        case ConnectionAcquisitionTimeoutError():
            return Busy(
                "no connection was free in time",
                hint="retry, keep transactions short, or raise the options pool_size or pool_timeout",
            )
        case UnsupportedServerProduct():
            return BackendUnavailable("what answers is no Neo4j server", hint="check host and port in the URL")
        case DriverConfigurationError():
            return ConfigurationError(f"the driver can't use the URL ({type(error).__name__})", hint="check its parts")
        case ServiceUnavailable() | SessionExpired() | BoltError() | SocketDeadlineExceededError() | OSError():
            return Unreachable(
                f"the server can't be reached, or the connection to it was lost ({type(error).__name__})",
                hint="retry; check that it runs, and host and port in the URL",
            )
    return _engine(type(error).__name__)


def _by_code(error: Neo4jError, code: str) -> StoreError:
    short = code.removeprefix("Neo.").partition(".")[2]
    if isinstance(error, ConstraintError):
        return Conflict(f"a record with this key exists already ({short})")
    said = error.message or ""
    for words, told in _WORDS:
        if words in said:
            return told(short)
    known = _CODES.get(short)
    if known is not None:
        return known(short)
    if short.startswith("Statement.ArithmeticError") or "overflow" in said:
        return Overflow("a number does not fit its type")
    if ".Schema." in code and "Corrupt" in short:
        return _corrupt(short)
    if code.startswith("Neo.TransientError."):
        return _busy(short)
    return _engine(short)


def _distrusted(error: BaseException | None) -> bool:
    """Whether a certificate that proves nothing is what an error comes from."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__
    return False
