"""Errors of the driver: each becomes one of the core's, chained, without what the server says of values."""

import pytest
from neo4j.exceptions import (
    ConnectionAcquisitionTimeoutError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from iotstore.backend import (
    Busy,
    ConfigurationError,
    Conflict,
    EngineError,
    ReadOnly,
    StorageFull,
    StoreError,
    Unreachable,
)
from iotstore_neo4j._errors import translated


def server_error(code: str, message: str = "the value 'secret' ...") -> Neo4jError:
    return Neo4jError._hydrate_neo4j(code=code, message=message)


@pytest.mark.parametrize(
    ("code", "expected", "retryable"),
    [
        ("Neo.ClientError.Schema.ConstraintValidationFailed", Conflict, False),
        ("Neo.ClientError.Security.Unauthorized", ConfigurationError, False),
        ("Neo.ClientError.Security.Forbidden", ReadOnly, False),
        ("Neo.ClientError.Database.DatabaseNotFound", Unreachable, True),
        ("Neo.ClientError.Statement.SyntaxError", EngineError, False),
        ("Neo.ClientError.Transaction.TransactionTimedOut", Busy, True),
        ("Neo.TransientError.Transaction.DeadlockDetected", Busy, True),
        ("Neo.TransientError.Transaction.LockClientStopped", Busy, True),
        # Marked as transient, and never going away by itself.
        ("Neo.TransientError.General.MemoryPoolOutOfMemoryError", EngineError, False),
        ("Neo.TransientError.General.OutOfMemoryError", EngineError, False),
        ("Neo.TransientError.General.DatabaseUnavailable", Unreachable, True),
        ("Neo.TransientError.Something.New", Busy, True),
        ("Neo.DatabaseError.General.UnknownError", EngineError, False),
    ],
)
def test_an_error_of_the_server_is_told_by_its_code(code: str, expected: type[StoreError], retryable: bool) -> None:
    told = translated(server_error(code))

    assert type(told) is expected
    assert told.retryable is retryable
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ServiceUnavailable("x"), Unreachable),
        (SessionExpired("x"), Unreachable),
        (ConnectionResetError(), Unreachable),
        (ConnectionAcquisitionTimeoutError("x"), Busy),
        (DriverError("x"), EngineError),
    ],
)
def test_an_error_of_the_driver_is_told_by_its_class(error: Exception, expected: type[StoreError]) -> None:
    assert type(translated(error)) is expected


def test_a_commit_that_nobody_knows_the_end_of_is_not_to_be_repeated_blindly() -> None:
    told = translated(IncompleteCommit("x"))

    assert type(told) is EngineError
    assert "idempotency_key" in str(told)
    assert not told.retryable


def test_a_full_disk_is_told_as_such() -> None:
    error = server_error("Neo.DatabaseError.Transaction.TransactionCommitFailed", "java: No space left on device")

    assert type(translated(error)) is StorageFull
