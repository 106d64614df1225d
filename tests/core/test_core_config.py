"""Configuration: where each setting is taken from, and which are refused."""

from pathlib import Path
from typing import Any

import pytest

from iotstore._config import Configuration, read_configuration, settings_for, settle_options
from iotstore._urls import parse_url
from iotstore._waist.contract import Option
from iotstore.errors import ConfigurationError

KNOWN = {
    "durability": Option(str, "full", "how much", choices=("full", "normal")),
    "readers": Option(int, 4, "how many"),
    "wait": Option(float, 5.0, "how long"),
    "strict": Option(bool, False, "how strictly"),
    "pin": Option(str, None, "a secret", secret=True, choices=("1234",)),
}


def read(tmp_path: Path, url: str | None = None, *, toml: str | None = None, **said: Any) -> Configuration:
    """Read a configuration from arguments, an environment and a file, each only as far as it is said."""
    file = None
    if toml is not None:
        file = tmp_path / "some.toml"
        file.write_text(toml, "utf-8")
    return read_configuration(url, said.get("arguments", {}), file, said.get("environment", {}))


@pytest.mark.parametrize(
    ("said", "durability"),
    [
        ({}, "full"),
        ({"toml": '[store]\ndurability = "file"'}, "file"),
        ({"toml": '[store]\ndurability = "file"', "environment": {"IOTSTORE_DURABILITY": "env"}}, "env"),
        ({"url": "sqlite:///x?durability=url", "environment": {"IOTSTORE_DURABILITY": "env"}}, "url"),
        ({"url": "sqlite:///x?durability=url", "arguments": {"durability": "argument"}}, "argument"),
    ],
)
def test_arguments_win_over_the_url_the_environment_the_file_and_the_default(
    tmp_path: Path, said: dict[str, Any], durability: str
) -> None:
    known = {"durability": Option(str, "full", "how much")}

    found = read(tmp_path, said.pop("url", "sqlite:///x"), **said)

    assert settle_options(found, known) == {"durability": durability}


def test_the_url_is_the_arguments_then_the_environments_then_the_files(tmp_path: Path) -> None:
    toml = '[store]\nurl = "sqlite:///file.db"'
    environment = {"IOTSTORE_URL": "sqlite:///env.db"}

    assert read(tmp_path, "sqlite:///argument.db", toml=toml, environment=environment).url.path == "/argument.db"
    assert read(tmp_path, toml=toml, environment=environment).url.path == "/env.db"
    assert read(tmp_path, toml=toml).url.path == "/file.db"
    assert read(tmp_path, toml=toml).url_source.endswith("some.toml")


def test_without_any_url_the_error_says_the_three_ways_to_give_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(
        ConfigurationError, match=r"no store URL was given; pass one, set IOTSTORE_URL, or write url = "
    ):
        read(tmp_path)


def test_the_file_in_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iotstore.toml").write_text('[store]\nurl = "sqlite:///here.db"\nkinds = ["plant"]', "utf-8")

    found = read_configuration(None, {}, None, {})

    assert (found.url.path, found.kinds) == ("/here.db", ("plant",))


def test_another_file_is_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('[store]\nurl = "sqlite:///other.db"', "utf-8")

    assert read_configuration(None, {}, None, {"IOTSTORE_CONFIG": str(file)}).url.path == "/other.db"


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[store", "is not TOML"),
        ("[shop]", "has the unknown table 'shop'; settings stand in "),
        ('url = "sqlite:///x"', "has the unknown table 'url'"),
        ("store = 5", r"\[store\] must be a table"),
        ('[store]\nkinds = "plant"', "kinds must be a list of names"),
        ("[store]\nkinds = [1]", "kinds must be a list of names"),
        ("[store]\nurl = 5", "url must be a text"),
    ],
)
def test_a_file_that_can_not_be_meant_is_refused_by_its_name(tmp_path: Path, toml: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"some\.toml.*{problem}"):
        read(tmp_path, "sqlite:///x" if "url" not in toml else None, toml=toml)


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml can't be read: No such file"):
        read_configuration("sqlite:///x", {}, tmp_path / "nothing.toml", {})


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'[store]\nurl = "sqlite:///\xe4.db"')

    with pytest.raises(ConfigurationError, match=r"latin\.toml is not TOML"):
        read_configuration(None, {}, file, {})


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({"url": "sqlite:///x?durabilty=full"}, "URL"),
        ({"arguments": {"durabilty": "full"}}, "argument"),
        ({"environment": {"IOTSTORE_DURABILTY": "full"}}, "IOTSTORE_DURABILTY"),
        ({"toml": '[store]\ndurabilty = "full"'}, r".*some\.toml"),
    ],
)
def test_an_unknown_setting_is_refused_with_where_it_stood_and_what_was_meant(
    tmp_path: Path, said: dict[str, Any], source: str
) -> None:
    found = read(tmp_path, said.pop("url", "sqlite:///x"), **said)

    with pytest.raises(
        ConfigurationError, match=rf"unknown setting 'durabilty' \(from {source}\); did you mean 'durability'\?"
    ):
        settle_options(found, KNOWN)


def test_an_unknown_setting_like_no_other_is_refused_with_all_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="known are durability, pin, readers, strict, wait"):
        settle_options(read(tmp_path, "sqlite:///x?zzz=1"), KNOWN)


def test_a_mistyped_environment_variable_of_this_prefix_is_no_silent_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown setting 'nonsense' \(from IOTSTORE_NONSENSE\)"):
        settle_options(read(tmp_path, "sqlite:///x", environment={"IOTSTORE_NONSENSE": "1"}), KNOWN)


def test_variables_that_say_something_else_are_no_settings(tmp_path: Path) -> None:
    environment = {"IOTSTORE_URL": "sqlite:///x", "IOTSTORE_REQUIRE": "all", "IOTSTORE_DEBUG": "1", "HOME": "somewhere"}
    told_to_tests = {"IOTSTORE_TEST_POSTGRES": "embedded", "IOTSTORE_TEST_IMAGE_POSTGRES": "postgres:17"}

    assert read(tmp_path, environment={**environment, **told_to_tests}).options == {}


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("readers", "8", 8), ("readers", 8, 8), ("wait", "2.5", 2.5), ("wait", 2, 2.0), ("strict", "yes", True),
        ("strict", "0", False), ("strict", True, True), ("strict", "OFF", False), ("durability", "normal", "normal"),
    ],
)  # fmt: skip
def test_a_value_is_converted_to_its_settings_type(tmp_path: Path, name: str, value: object, converted: object) -> None:
    settled = settle_options(read(tmp_path, "sqlite:///x", arguments={name: value}), KNOWN)

    assert settled[name] == converted
    assert type(settled[name]) is type(converted)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("readers", "many", "setting readers = 'many' .* must be of type int"),
        ("readers", "1.5", "must be of type int"),
        ("readers", 1.5, "must be of type int"),
        ("readers", True, "must be of type int"),
        ("wait", "nan", "must be of type float"),
        ("wait", "inf", "must be of type float"),
        ("wait", [], "must be of type float"),
        ("strict", "perhaps", "must be of type bool"),
        ("strict", 2, "must be of type bool"),
        ("durability", "some", "must be one of full, normal"),
        ("durability", 1, "must be one of full, normal"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(tmp_path: Path, name: str, value: object, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        settle_options(read(tmp_path, "sqlite:///x", arguments={name: value}), KNOWN)


def test_a_secret_that_does_not_fit_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^setting pin = \*\*\* ") as caught:
        settle_options(read(tmp_path, "sqlite:///x", arguments={"pin": "hunter2"}), KNOWN)

    assert "hunter2" not in str(caught.value)


def test_what_a_backend_is_opened_with_shows_no_secret() -> None:
    settings = settings_for(parse_url("postgresql://me:hunter2@db/x"), {"token": "hunter2"}, create=True)

    assert settings.password == "hunter2"
    assert "hunter2" not in repr(settings) + settings.display
