"""Every command on a real store: what it prints for people, what for programs, and its exit code."""

import argparse
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import cli as cli_module
from iotstore.cli import _parser as parser

Cli = Callable[..., Any]  # the fixture: words to an answer with code, out, err and json
AT = "2025-06-15T12:00Z"
READING = [
    ["home"],
    ["devices"],
    ["devices", "show", "cam-1"],
    ["latest", "th-1"],
    ["alerts"],
    ["talkers"],
    ["stats"],
    ["health"],
    ["verify"],
    ["optimise"],
    ["retention"],
    ["backup", "create"],
    ["backup", "list"],
    ["migrate", "--plan"],
    ["backends"],
    ["config"],
    ["commands"],
]
PROGRAM = "import sys; from iotstore.cli import main; sys.exit(main())"


def lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


# What a person sees ---------------------------------------------------------------------------------------------


def test_devices_are_listed_last_seen_first_with_what_marks_them(cli: Cli, url: str) -> None:
    answer = cli("devices", "-u", url, "--at", AT)

    assert answer.code == 0
    assert [line.split() for line in answer.out.splitlines()] == [
        ["key", "name", "kind", "location", "seen"],
        ["cam-1", "Front", "camera", "camera", "garden", "2", "min", "ago"],
        ["th-1", "Hall", "sensor", "sensor", "3", "h", "ago", "trusted"],
    ]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["--kind", "camera"], ["cam-1"]),
        (["--owner", "maya"], ["th-1"]),
        (["--group", "cameras"], ["cam-1"]),
        (["--location", "home"], ["cam-1"]),
        (["--tag", "wifi"], ["cam-1"]),
        (["--search", "LUM"], ["cam-1"]),
        (["--search", "%"], []),
        (["--seen", "1h"], ["cam-1"]),
        (["--kind", "camera", "--owner", "maya"], []),
        (["--limit", "1"], ["cam-1"]),
        ([], ["cam-1", "th-1"]),
    ],
)
def test_devices_are_chosen_by_any_combination_of_options(
    cli: Cli, url: str, words: list[str], keys: list[str]
) -> None:
    answer = cli("devices", "list", "-u", url, "--at", AT, "--json", *words)

    assert [device["key"] for device in answer.json] == keys


def test_a_list_that_goes_on_says_so(cli: Cli, url: str) -> None:
    assert "There are more; --limit 2 shows them." in cli("devices", "-u", url, "--limit", "1").out
    assert "There are more" not in cli("devices", "-u", url, "--limit", "2").out


def test_one_device_is_shown_with_its_place_groups_traffic_and_alerts(cli: Cli, url: str) -> None:
    answer = cli("devices", "show", "cam-1", "-u", url, "--at", AT)

    assert answer.code == 0
    assert answer.out.startswith("Front camera  cam-1\n")
    assert re.search(r"location +Garden, Home\n", answer.out)
    assert re.search(r"groups +Cameras\n", answer.out)
    assert re.search(r"flows +1 to 1 destinations\n *sent +5.0 MB", answer.out)
    assert "Front camera sent too much" in answer.out


def test_latest_values_come_with_unit_range_and_course(cli: Cli, url: str) -> None:
    answer = cli("latest", "th-1", "-u", url, "--at", AT)
    (temperature,) = lines_with(answer.out, "temperature")

    assert temperature.split()[:3] == ["temperature", "20", "°C"]
    assert temperature.split()[-4:] == ["20..31", "1", "h", "ago"]
    assert temperature.index("█") < temperature.index("▁")
    assert lines_with(answer.out, "mode")[0].split()[1] == "eco"
    assert lines_with(answer.out, "door")[0].split()[1] == "yes"


def test_one_metric_is_chosen_whatever_its_case(cli: Cli, url: str) -> None:
    answer = cli("latest", "th-1", "TEMPERATURE", "-u", url, "--at", AT, "--course", "6h", "--json")

    assert [(course["metric"], course["value"], course["low"], course["high"]) for course in answer.json] == [
        ("temperature", 20.0, 20.0, 25.0)
    ]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], [1, 2]),
        (["--open"], [1]),
        (["--severity", "high"], [1]),
        (["--severity", "low"], [1, 2]),
        (["--device", "th-1"], [2]),
        (["--since", "24h"], [1]),
        (["--since", "2025-06-13"], [1, 2]),
        (["--limit", "1"], [1]),
    ],
)
def test_alerts_are_chosen_by_any_option(cli: Cli, url: str, words: list[str], ids: list[int]) -> None:
    answer = cli("alerts", "-u", url, "--at", AT, "--json", *words)

    assert [alert["id"] for alert in answer.json] == ids


def test_alerts_name_their_device(cli: Cli, url: str) -> None:
    assert [alert["device_name"] for alert in cli("alerts", "-u", url, "--json").json] == [
        "Front camera",
        "Hall sensor",
    ]
    assert "Hall sensor" in cli("alerts", "-u", url).out


@pytest.mark.parametrize(
    ("by", "names"), [("device", ["cam-1", "th-1"]), ("service", ["https", None]), ("protocol", ["tcp", "udp"])]
)
def test_talkers_are_counted_by_any_field(cli: Cli, url: str, by: str, names: list[str | None]) -> None:
    answer = cli("talkers", "-u", url, "--by", by, "--json")

    assert [item["name"] for item in answer.json] == names
    assert answer.json[0]["bytes"] == 5_001_000


def test_talkers_of_a_time_are_those_of_that_time(cli: Cli, url: str) -> None:
    assert [item["name"] for item in cli("talkers", "-u", url, "--at", AT, "--since", "1h", "--json").json] == ["cam-1"]


def test_the_home_page_is_drawn_from_one_call(cli: Cli, url: str) -> None:
    answer = cli("home", "-u", url, "--at", AT)

    assert answer.code == 0
    assert re.search(r"devices +2, 1 seen within 5 minutes", answer.out)
    assert re.search(r"alerts +2, 1 of the last day wait for somebody", answer.out)
    assert "Front camera  ██████████████████████  5.0 MB" in answer.out


def test_an_empty_store_is_shown_as_empty_and_not_as_an_error(cli: Cli, tmp_path: Path) -> None:
    empty = f"sqlite:///{tmp_path}/empty.db"
    iotstore.open(empty).close()

    assert [cli(word, "-u", empty).out for word in ("devices", "alerts", "talkers")] == [
        "No devices.\n",
        "No alerts.\n",
        "No connections.\n",
    ]
    assert cli("home", "-u", empty).code == 0
    assert cli("backup", "list", "-u", empty).out == "No backups.\n"
    assert cli("retention", "-u", empty).out == "Nothing is older than it is kept for.\n"


def test_backends_are_listed_with_what_they_can_and_can_not_do(cli: Cli) -> None:
    (sqlite,) = [item for item in cli("backends", "--json").json if item["scheme"] == "sqlite"]
    answer = cli("backends", "--verbose")

    assert sqlite["installed"] is True
    assert "snapshots" in sqlite["supported"]
    assert re.search(r"sqlite:// +iotstore +\S+ +yes", answer.out)
    assert re.search(r"questions\n +✓ +range_filters +Values smaller", answer.out)


def test_a_missing_capability_is_listed_in_its_group_with_the_reason_that_counts(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"series": "it keeps no points", "text_points": "it keeps no points", "compaction": "it is full"}
    info = iotstore.BackendInfo("acme", "acme", "1.0", None, (), tuple(missing.items()))
    monkeypatch.setattr(iotstore, "backends", lambda: [info])
    answer = cli("backends", "--verbose")

    assert re.search(r"telemetry\n +✗ +series +it keeps no points", answer.out)
    assert re.search(r"✗ +text_points +needs series, which is missing", answer.out)
    assert re.search(r"✗ +compaction +it is full", answer.out)


# Keeping ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_created_listed_verified_rotated_and_restored(cli: Cli, url: str, tmp_path: Path) -> None:
    made = cli("backup", "create", "-u", url, "--label", "first", "--json").json
    cli("backup", "create", "-u", url)

    assert cli("backup", "verify", made["path"], "-u", url).code == 0
    assert [backup["label"] for backup in cli("backup", "list", "-u", url, "--json").json] == [None, "first"]
    assert (
        made["path"] in cli("backup", "list", "-u", url).out
        or Path(made["path"]).name in cli("backup", "list", "-u", url).out
    )
    assert cli("backup", "restore", made["path"], f"sqlite:///{tmp_path}/again.db").code == 0
    assert len(cli("devices", "-u", f"sqlite:///{tmp_path}/again.db", "--json").json) == 2
    assert "1 backups are kept" in cli("backup", "rotate", "-u", url, "--keep", "1").out
    assert not Path(made["path"]).exists()


def test_a_damaged_backup_is_refused_and_the_target_untouched(cli: Cli, url: str, tmp_path: Path) -> None:
    made = cli("backup", "create", "-u", url, "--json").json
    content = bytearray(Path(made["path"]).read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path(made["path"]).write_bytes(content)

    assert cli("backup", "verify", made["path"], "-u", url).code == 1
    assert cli("backup", "restore", made["path"], f"sqlite:///{tmp_path}/again.db").code == 1
    assert not (tmp_path / "again.db").exists()


def test_a_portable_backup_is_made_where_it_is_told_to(cli: Cli, url: str, tmp_path: Path) -> None:
    answer = cli("backup", "create", "-u", url, "--format", "portable", "--directory", "elsewhere")

    assert answer.code == 0
    assert list((tmp_path / "elsewhere").iterdir())
    assert re.search(r"file +elsewhere/\S+\n", answer.out)


def test_a_store_is_copied_whole(cli: Cli, url: str, tmp_path: Path) -> None:
    answer = cli("copy", url, f"sqlite:///{tmp_path}/copy.db")

    assert answer.code == 0
    assert re.search(r"points +14 ", answer.out)
    assert (
        cli("alerts", "-u", f"sqlite:///{tmp_path}/copy.db", "--json").json == cli("alerts", "-u", url, "--json").json
    )


def test_retention_counts_first_and_deletes_only_when_told(cli: Cli, url: str) -> None:
    asked = cli("retention", "-u", url)
    again = cli("retention", "-u", url, "--json")
    done = cli("retention", "-u", url, "--apply", "--json")

    assert "Nothing was deleted; --apply does it." in asked.out
    assert again.json["applied"] is False
    assert [(line["rows"], line["deleted"]) for line in done.json["lines"] if line["kind"] == "connection"] == [(2, 2)]
    assert cli("talkers", "-u", url).out == "No connections.\n"


def test_retention_takes_another_window(cli: Cli, url: str) -> None:
    kept = cli("retention", "-u", url, "--keep", "connection=9999d", "--json").json["lines"]

    assert [line["rows"] for line in kept if line["kind"] == "connection"] == [0]


def test_daily_maintenance_reports_each_step_and_succeeds(cli: Cli, url: str) -> None:
    answer = cli("maintain", "--daily", "-u", url)

    assert answer.code == 0
    assert re.findall(r"^  (\w+) +done", answer.out, re.MULTILINE) == [
        "backup",
        "rotation",
        "retention",
        "optimise",
        "health",
    ]
    assert answer.out.endswith("All went well.\n")


def test_weekly_maintenance_checks_the_integrity_first(cli: Cli, url: str) -> None:
    answer = cli("maintain", "--weekly", "-u", url, "--backups", "1")

    assert answer.code == 0
    assert re.findall(r"^  (\w+) +done", answer.out, re.MULTILINE)[0] == "integrity"


def test_maintenance_deletes_nothing_when_the_backup_failed(cli: Cli, url: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder of backups should be")
    answer = cli("maintain", "--daily", "-u", url, "--directory", "taken")

    assert answer.code == 1
    assert re.search(r"backup +FAILED", answer.out)
    assert re.search(r"retention +left out .*because backup failed", answer.out)
    assert re.search(r"health +done", answer.out)
    assert len(cli("talkers", "-u", url, "--json").json) == 2


def test_maintenance_says_which_it_is(cli: Cli, url: str) -> None:
    answer = cli("maintain", "-u", url)

    assert answer.code == 2
    assert "--daily --weekly" in answer.err


def test_migrate_has_nothing_to_do_for_a_store_of_this_version(cli: Cli, url: str) -> None:
    assert cli("migrate", "-u", url).out == "Nothing to do: the store is as declared.\n"
    assert cli("migrate", "-u", url, "--plan", "--json").json == {"migrated": False, "steps": []}


# Which store ------------------------------------------------------------------------------------------------------


def test_the_store_is_named_before_or_behind_the_command_by_variable_or_by_file(
    cli: Cli, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.toml").write_text(f'[store]\nurl = "{url}"\n')
    expected = cli("devices", "-u", url, "--json").json

    assert cli("-u", url, "devices", "--json").json == expected
    assert cli("devices", "--json", "--config", "other.toml").json == expected
    assert cli("-c", "other.toml", "devices", "--json").json == expected
    monkeypatch.setenv("IOTSTORE_URL", url)
    assert cli("devices", "--json").json == expected


def test_config_says_what_is_in_force_and_from_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTSTORE_READERS", "3")
    settings = {item["name"]: item for item in cli("config", "-u", "sqlite:///home.db?durability=full", "--json").json}

    assert (settings["url"]["value"], settings["url"]["source"]) == ("sqlite:///home.db?durability=full", "--url")
    assert (settings["durability"]["value"], settings["durability"]["source"]) == ("full", "URL")
    assert (settings["readers"]["value"], settings["readers"]["source"]) == (3, "IOTSTORE_READERS")
    assert settings["busy_timeout"]["source"] == "default"


def test_config_never_shows_a_password(cli: Cli) -> None:
    for words in (["config"], ["config", "--json"], ["config", "--verbose"], ["stats"], ["demo"]):
        answer = cli(*words, "-u", "sqlite://maya:s3cret-word@host/home.db")

        assert "s3cret-word" not in answer.out + answer.err


def test_a_store_that_is_not_there_is_an_error_and_not_a_new_store(cli: Cli, tmp_path: Path) -> None:
    for words in (["devices"], ["health"], ["home"], ["backup", "create"], ["maintain", "--daily"], ["migrate"]):
        answer = cli(*words, "-u", "sqlite:///mistyped.db")

        assert answer.code == 1
        assert answer.err.startswith("iotstore: ")
    assert not list(tmp_path.glob("*mistyped*"))


# Errors and exit codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["devices", "show", "nobody"], "iotstore: no device with key 'nobody'"),
        (["latest", "nobody"], "iotstore: no device with key 'nobody'"),
        (["latest", "th-1", "weight"], "iotstore: no series with key"),
        (["alerts", "--device", "nobody"], "iotstore: no device with key 'nobody'"),
        (["devices", "--location", "nowhere"], "iotstore: no location with key 'nowhere'"),
        (["devices", "--group", "none"], "iotstore: no group with key 'none'"),
        (["retention", "--keep", "nothing=3d"], "iotstore: "),
        (["backup", "verify", "nothing.db"], "iotstore: "),
    ],
)
def test_an_error_of_the_store_is_one_line_and_exit_code_1(cli: Cli, url: str, words: list[str], message: str) -> None:
    answer = cli(*words, "-u", url)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(message)
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["devises"], "invalid choice: 'devises'"),
        (["alerts", "--sinc", "3h"], "unrecognized arguments: --sinc 3h"),
        (["alerts", "--since", "soon"], "'soon' is neither a duration like 24h or 7d nor a time like 2025-06-15"),
        (["alerts", "--limit", "0"], "'0' is no number above 0"),
        (["home", "--at", "noon"], "'noon' is no time; write it like 2025-06-15"),
        (["latest", "x", "--course", "5"], "'5' is no duration; write it like 90s"),
        (["retention", "--keep", "alert"], "'alert' is not KIND=DURATION"),
        (["demo", "--days", "32"], "32 days are too many"),
        (["backup"], "the following arguments are required: ACTION"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(cli: Cli, words: list[str], message: str) -> None:
    answer = cli(*words)

    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert answer.err.startswith("iotstore: ")
    assert answer.err.count("\n") == 1


def test_with_debug_the_error_itself_is_raised(cli: Cli, url: str) -> None:
    with pytest.raises(iotstore.NotFound, match="nobody"):
        cli("devices", "show", "nobody", "-u", url, "--debug")


def test_an_interruption_is_exit_code_130_without_a_traceback(
    cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_module, "parse", interrupted)
    answer = cli("devices", "-u", url)

    assert (answer.code, answer.err) == (130, "iotstore: interrupted\n")


def test_a_reader_that_goes_away_ends_the_command_quietly(url: str, tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-c", PROGRAM, "devices", "-u", url]
    with os.fdopen(theirs, "w") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (141, b"")


def test_an_output_that_holds_only_ascii_is_no_reason_to_fail(url: str, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for words in (["home", "--at", AT], ["latest", "th-1", "--at", AT], ["health"], ["talkers"], ["alerts", "--json"]):
        command = [sys.executable, "-c", PROGRAM, *words, "-u", url]
        done = subprocess.run(command, capture_output=True, env=environ, cwd=tmp_path, timeout=60, check=False)

        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.isascii()


def test_a_damaged_store_fails_its_check_with_exit_code_1(cli: Cli, url: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("DELETE FROM location WHERE \"key\" = 'garden'")
    connection.commit()
    connection.close()
    answer = cli("verify", "-u", url)

    assert answer.code == 1
    assert "The store is failed." in answer.out


# What programs rely on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_json_is_one_document_with_nothing_around_it(cli: Cli, url: str, words: list[str]) -> None:
    answer = cli(*words, "-u", url, "--json")

    assert answer.code == 0
    assert isinstance(answer.json, dict | list)
    assert answer.err == ""


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_no_line_is_wider_than_80_columns_without_a_terminal(cli: Cli, url: str, words: list[str]) -> None:
    out = cli(*words, "-u", url).out
    fixed = "/"  # paths are never cut: they are there to be copied

    assert not [line for line in out.splitlines() if len(line) > 80 and fixed not in line]


def test_the_json_of_a_device_has_the_names_of_its_fields(cli: Cli, url: str) -> None:
    (device, _) = cli("devices", "-u", url, "--json").json

    assert device["last_seen"] == "2025-06-15T11:58:00Z"
    assert device["tags"] == ["wifi"]
    assert set(device) == set(iotstore.Device.__struct_fields__)


def test_looking_changes_nothing(cli: Cli, url: str) -> None:
    def content() -> list[str]:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return list(connection.iterdump())
        finally:
            connection.close()

    before = content()
    for words in READING:
        if words not in (["optimise"], ["backup", "create"]):
            cli(*words, "-u", url)

    assert content() == before


def test_help_imports_neither_the_store_nor_any_third_party_package() -> None:
    program = "import sys; from iotstore.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}

    assert "usage: iotstore" in done.stdout
    assert loaded.isdisjoint({"msgspec", "pluggy", "sqlalchemy", "alembic", "sqlite3", "numpy"})
    assert "iotstore.store" not in done.stderr.split()


@pytest.mark.parametrize("words", [["--help"], ["alerts", "--help"], ["devices", "--help"], ["backup", "create", "-h"]])
def test_help_is_success(cli: Cli, words: list[str]) -> None:
    answer = cli(*words)

    assert answer.code == 0
    assert answer.out.startswith("usage: iotstore")


def test_the_version_is_that_of_the_installed_distribution(cli: Cli) -> None:
    assert re.fullmatch(r"iotstore \d+\.\d+\.\d+\S*\n", cli("--version").out)


# The documentation --------------------------------------------------------------------------------------------------


def every_parser(made: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that can be typed, with its parser."""
    inner = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, made
    for action in inner:
        for word, child in action.choices.items():
            yield from every_parser(child, f"{name} {word}".strip())


EVERYWHERE = {"--help", "-h", "--url", "-u", "--config", "-c", "--debug", "-v"}


@pytest.mark.parametrize(("name", "made"), [pytest.param(*pair, id=pair[0]) for pair in every_parser(parser.build())])
def test_every_command_has_a_line_in_the_documentation_with_all_its_options(
    root: Path, name: str, made: argparse.ArgumentParser
) -> None:
    page = (root / "docs" / "cli.md").read_text("utf-8")
    lines = re.findall(rf"^\| `iotstore {re.escape(name)}[ `].*$", page, re.MULTILINE)

    assert len(lines) == 1
    # What all commands of a group take is said once, in the line of the first one.
    of_the_group = set(re.findall(rf"Every `{name.split(maxsplit=1)[0]}` command takes `(--[\w-]+)", page))
    options = {word for action in made._actions for word in action.option_strings} - EVERYWHERE - of_the_group
    assert not {option for option in options if option not in lines[0]}


def test_the_documentation_names_no_command_that_is_not_there(root: Path) -> None:
    page = (root / "docs" / "cli.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `iotstore ([a-z ]*[a-z])", page, re.MULTILINE))

    there = {name for name, _ in every_parser(parser.build(plugins=True))}

    assert documented == {
        name for name in there if not name.startswith("conformance ")
    }  # those have a page of their own


def test_every_typed_duration_is_understood_the_same_everywhere(cli: Cli, url: str) -> None:
    hours = timedelta(days=2) // timedelta(hours=1)
    by_days = cli("alerts", "-u", url, "--at", AT, "--since", "2d", "--json").json

    assert by_days == cli("alerts", "-u", url, "--at", AT, "--since", f"{hours}h", "--json").json
