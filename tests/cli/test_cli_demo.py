"""`iotstore demo`: the first thing that a newcomer sees."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Device
from iotstore.cli._simulation.week import Week

Cli = Callable[..., Any]  # the fixture: words to an answer with code, out, err and json
PROGRAM = "import sys; from iotstore.cli import main; sys.exit(main())"
DEMO = "sqlite:///iotstore-demo.db"
TIMES = re.compile(r"\d+(\.\d+)? m?s\b")
END = datetime(2025, 6, 16, tzinfo=UTC)


def table_of(text: str) -> dict[str, list[int]]:
    """The table of what was stored: stored, there already, refused."""
    rows = re.findall(
        r"^  (devices|telemetry points|network flows|alerts) +([\d,]+) +([\d,]+) +([\d,]+)$", text, re.MULTILINE
    )
    return {name: [int(number.replace(",", "")) for number in numbers] for name, *numbers in rows}


def unwatched(done: int, note: str) -> None:
    """A progress that nobody looks at."""


def settled(text: str) -> str:
    """The output without timings, the backup's name and what depends on the disk."""
    lines = [line for line in TIMES.sub("<time>", text).splitlines() if "bytes" not in line or "point" in line]
    return re.sub(r"backups/\S+", "<backup>", "\n".join(lines))


def test_the_demo_stores_a_week_proves_a_backup_and_shows_it(cli: Cli, tmp_path: Path) -> None:
    answer = cli("demo")
    stored = table_of(answer.out)

    assert (answer.code, answer.err) == (0, "")
    assert stored["devices"] == [40, 0, 0]
    assert stored["network flows"] == [20_000, 0, 0]
    assert 480_000 < stored["telemetry points"][0] < 520_000
    assert stored["alerts"][0] > 20
    assert "restored to a scratch place and compared" in answer.out
    headings = re.findall(r"^\S.*$", answer.out, re.MULTILINE)
    assert [re.split(r"  ", heading)[0] for heading in headings] == [
        "iotstore demo",
        "What was stored",
        "Latest values",
        "Top talkers",
        "Services",
        "Activity by hour (UTC)",
        "Alerts by day",
        "Most urgent",
        "Health",
        "What to type next",
    ]
    with iotstore.open(DEMO, create=False) as store:
        assert store.telemetry.count() == stored["telemetry points"][0]
        assert store.connections.count() == 20_000
        assert store.locations.count() == 8
        (backup,) = store.backups.list()
        assert backup.counts["connection"] == 20_000
    assert tmp_path / "backups" == Path(backup.path).parent.parent


def test_a_second_run_adds_nothing_and_says_so(cli: Cli) -> None:
    first = table_of(cli("demo", "--days", "2").out)
    answer = cli("demo", "--days", "2")

    assert {name: [0, stored + there, 0] for name, (stored, there, _) in first.items()} == table_of(answer.out)
    assert "Everything was there already: a repeated run adds nothing." in answer.out
    assert "prove the backup" in answer.out
    with iotstore.open(DEMO, create=False) as store:
        assert len(store.backups.list()) == 1
        assert store.connections.count() == first["network flows"][0]


def test_the_output_is_the_same_everywhere_but_for_timings(cli: Cli) -> None:
    one = cli("demo", "--days", "1", "--url", "sqlite:///first/home.db")
    other = cli("demo", "--days", "1", "--url", "sqlite:///other/home.db")

    assert one.code == 0
    assert settled(one.out).replace("first/", "other/") == settled(other.out)


def test_another_seed_is_another_home(cli: Cli) -> None:
    one = table_of(cli("demo", "--days", "1", "--url", "sqlite:///one.db").out)
    other = table_of(cli("demo", "--days", "1", "--seed", "8", "--url", "sqlite:///other.db").out)

    assert one["telemetry points"] != other["telemetry points"]


def test_what_the_demo_says_to_type_next_works(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    out = cli("demo", "--days", "1").out
    (url,) = re.findall(r"^  \$ export IOTSTORE_URL=(\S+)$", out, re.MULTILINE)
    monkeypatch.setenv("IOTSTORE_URL", url)
    commands = re.findall(r"^  \$ iotstore (.+?)(?:   .*|  \S.*)?$", out, re.MULTILINE)

    assert len(commands) == 5
    for command in commands:
        assert cli(*command.split()).code == 0


def test_the_demo_never_follows_the_environment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTSTORE_URL", "sqlite:///my-own.db")

    assert cli("demo", "--days", "1").code == 0
    assert not (tmp_path / "my-own.db").exists()


def test_the_demo_refuses_a_store_with_devices_of_its_own(cli: Cli) -> None:
    with iotstore.open("sqlite:///mine.db") as store:
        store.devices.put(Device(key="my-camera"))
    answer = cli("demo", "--url", "sqlite:///mine.db")

    assert answer.code == 1
    assert "has devices of its own, such as 'my-camera'" in answer.err
    with iotstore.open("sqlite:///mine.db", create=False) as store:
        assert store.devices.count() == 1


def test_the_demo_works_in_memory_without_a_backup(cli: Cli) -> None:
    answer = cli("demo", "--days", "1", "--url", "sqlite://:memory:")

    assert answer.code == 0
    assert "so there is no place for a backup" in answer.out


def test_flows_that_retention_deleted_are_not_called_there(cli: Cli) -> None:
    cli("demo", "--days", "1")
    cli("retention", "--apply", "-u", DEMO)

    assert (
        "Only 0 of the flows are still there: retention has deleted the others since." in cli("demo", "--days", "1").out
    )


def test_an_hour_later_only_that_hour_is_added(tmp_path: Path) -> None:
    """The home is a function of absolute time: windows that overlap agree about the hours that they share."""
    with iotstore.open(f"sqlite:///{tmp_path}/home.db") as store:
        early = Week(7, END - timedelta(hours=30), END - timedelta(hours=5))
        later = Week(7, END - timedelta(hours=29), END - timedelta(hours=4))
        whole = Week(7, END - timedelta(hours=30), END - timedelta(hours=4))
        for week in (early, later):
            week.write(store, unwatched)
        points, flows = store.telemetry.count(), store.connections.count()
        whole.write(store, unwatched)

        assert whole.points.stored == 0
        assert whole.flows.stored == 0
        assert (store.telemetry.count(), store.connections.count()) == (points, flows)
    assert 0 < later.flows.stored < early.flows.stored / 5
    assert 0 < later.points.stored < early.points.stored / 5


def run_demo(folder: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-W", "error", "-c", PROGRAM, "demo", "--days", "1"]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, timeout=120, check=True
    )


def test_without_a_terminal_there_are_plain_lines_of_80_columns(tmp_path: Path) -> None:
    out = run_demo(tmp_path).stdout.decode()

    assert "\x1b" not in out
    assert "\r" not in out
    assert not [line for line in out.splitlines() if len(line) > 80 and "backups/" not in line]


def test_where_only_ascii_can_be_written_the_demo_is_ascii(tmp_path: Path) -> None:
    done = run_demo(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert done.stdout.isascii()
    assert b"###" in done.stdout


def test_on_a_terminal_there_is_a_moving_bar_and_colour(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    environ.pop("NO_COLOR", None)
    command = [sys.executable, "-c", PROGRAM, "demo", "--days", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65_536):
            seen += piece
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    finally:
        os.close(ours)
    out = seen.decode()

    assert process.wait(timeout=60) == 0
    assert out.count("\r\x1b[2K") > 4
    assert "█" in out.split("What was stored")[0]
    assert "\x1b[1mTop talkers\x1b[0m" in out
