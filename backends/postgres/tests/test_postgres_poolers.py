"""Between a store and its server nothing may drop what each session begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iotstore.backend import ConfigurationError
from iotstore_postgres.store import PostgresBackend


def test_a_pooler_that_drops_settings_is_found_out_before_anything_is_written(
    connect: Callable[..., PostgresBackend],
    ask: Callable[..., list[tuple[Any, ...]]],
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PgBouncer does so where ``ignore_startup_parameters`` names them."""
    look = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    before = ask(look)
    with monkeypatch.context() as patched:
        patched.setattr("iotstore_postgres._connection.session_options", lambda *_: "")
        with pytest.raises(ConfigurationError, match=r"did not reach the server: its search_path is .*public"):
            connect()
    assert ask(look) == before
    assert ask(f"SELECT to_regnamespace('{schema}') IS NULL") == [(True,)]
    connect()
