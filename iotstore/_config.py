"""Configuration: from arguments, the environment, and ``iotstore.toml``; unknown settings are refused.

Precedence, setting by setting: arguments of ``open``, options in the URL, ``IOTSTORE_...`` variables, the file.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, cast

from iotstore._urls import HIDDEN, Url, is_secret, parse_url
from iotstore._waist.contract import Option, Settings
from iotstore.errors import ConfigurationError

FILE: Final = "iotstore.toml"
PREFIX: Final = "IOTSTORE_"
# Variables that say something else than an option of the store; the prefix is that of what test runs are told.
_TESTS: Final = "IOTSTORE_TEST_"
_OTHER: Final = ("IOTSTORE_URL", "IOTSTORE_CONFIG", "IOTSTORE_REQUIRE", "IOTSTORE_DEBUG")

OptionValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was said, and where: the URL, and each option with its raw value and its source."""

    url: Url
    url_source: str
    options: Mapping[str, tuple[object, str]]
    kinds: tuple[str, ...]
    #: The URL of the projection, and whether this process feeds it, each with its source; None: not said.
    relationships: tuple[str, str] | None = None
    projector: tuple[bool, str] = (True, "default")


def read_configuration(
    url: str | None,
    arguments: Mapping[str, object],
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Gather what arguments, environment and file say; what they mean is checked against the backend's options."""
    env = os.environ if environment is None else environment
    named = file or (Path(env["IOTSTORE_CONFIG"]) if env.get("IOTSTORE_CONFIG") else None)
    table, source = _read_file(named)
    said_url, url_source = next(
        (
            (text, where)
            for text, where in (
                (url, "argument"),
                (env.get("IOTSTORE_URL"), "IOTSTORE_URL"),
                (table.get("url"), source),
            )
            if text
        ),
        (None, ""),
    )
    if said_url is not None and not isinstance(said_url, str):
        raise ConfigurationError(f"{url_source}: url must be a text")
    if said_url is None:
        raise ConfigurationError(
            "no store URL was given", hint=f'pass one, set IOTSTORE_URL, or write url = "sqlite:///home.db" to {FILE}'
        )
    parsed = parse_url(said_url)
    options: dict[str, tuple[object, str]] = {
        name: (value, source) for name, value in table.items() if name not in ("url", "kinds")
    }
    for name, value in env.items():
        if name.startswith(PREFIX) and not name.startswith(_TESTS) and name not in _OTHER:
            options[name[len(PREFIX) :].lower()] = (value, name)
    options.update({name: (value, "URL") for name, value in parsed.options.items()})
    options.update({name: (value, "argument") for name, value in arguments.items()})
    relationships = _relationships(*options.pop("relationships", (None, "default")))
    projector, said = options.pop("projector", (True, "default"))
    feeds = _convert("projector", projector, Option(bool, True, ""), said) is True
    names = _names(table.get("kinds", []), source)
    return Configuration(parsed, url_source, options, names, relationships, (feeds, said))


def _relationships(url: object, source: str) -> tuple[str, str] | None:
    if url is not None and not isinstance(url, str):
        raise ConfigurationError(f"{source}: relationships must be the URL of another database")
    return (url, source) if url else None  # an empty one takes back what stands in the file


def _names(said: object, source: str) -> tuple[str, ...]:
    names = cast("list[object]", said) if isinstance(said, list) else [None]
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{source}: kinds must be a list of names")
    return tuple(str(name) for name in names)


def _read_file(named: Path | None) -> tuple[dict[str, object], str]:
    path = named or Path(FILE)
    # A working directory that may not be looked into has no file for us; that is no reason to refuse a store by URL.
    if named is None and not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises there before Python 3.14
        return {}, FILE
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    unknown = [name for name in content if name != "store"]
    if unknown:
        raise ConfigurationError(f"{path} has the unknown table {unknown[0]!r}", hint="settings stand in [store]")
    table = content.get("store", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: [store] must be a table")
    return cast("dict[str, object]", table), str(path)


def settle_options(configuration: Configuration, known: Mapping[str, Option]) -> dict[str, OptionValue]:
    """Every known option with its value, converted; an unknown name or a wrong value is refused."""
    settled: dict[str, OptionValue] = {name: option.default for name, option in known.items()}
    for name, (value, source) in configuration.options.items():
        option = known.get(name)
        if option is None:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise ConfigurationError(f"unknown setting {name!r} (from {source})", hint=hint)
        settled[name] = _convert(name, value, option, source)
    return settled


def _convert(name: str, value: object, option: Option, source: str) -> OptionValue:
    converted: OptionValue = None
    wanted = option.value_type
    if wanted is bool:
        words = {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        converted = value if isinstance(value, bool) else words.get(str(value).lower())
    elif wanted in (int, float) and not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            number = wanted(value)
        except (ValueError, OverflowError):
            number = None
        # int(1.5) is 1, and nan is no length of time.
        if number is not None and math.isfinite(number) and (isinstance(value, str) or number == value):
            converted = number
    elif wanted is str and isinstance(value, str):
        converted = value
    if converted is None or (option.choices and converted not in option.choices):
        shown = HIDDEN if option.secret or is_secret(name) else repr(value)
        allowed = f"one of {', '.join(option.choices)}" if option.choices else f"of type {wanted.__name__}"
        raise ConfigurationError(f"setting {name} = {shown} (from {source}) must be {allowed}")
    return converted


def settings_for(url: Url, options: Mapping[str, OptionValue], *, create: bool) -> Settings:
    """What a backend is opened with."""
    path = url.path
    if url.hosts and url.hosts[0][0] == ":memory:":
        path = ":memory:"
    elif not url.hosts and path.startswith("/"):
        path = path[1:]  # three slashes: relative to the current directory; four: absolute
    return Settings(url.scheme, url.user, url.password, url.hosts, path, url.display, options, create)
