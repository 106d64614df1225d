"""A new plugin package, made from the templates beside this module: an honest backend that can do nothing yet."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iotstore import ConfigurationError

_NAME: Final = re.compile(r"[a-z][a-z0-9]{1,29}")
_SUFFIX: Final = ".txt"  # so that no tool takes a template for a module
# Names in the templates' tree that can't be written there as they are.
_MOVED: Final = {"package": "iotstore_@name@", "github": ".github", "gitignore": ".gitignore"}


def check_name(name: str) -> None:
    """Refuse a name that can't be a URL scheme, a distribution and a module at once, or that is taken."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigurationError(
            f"{name!r} can't name a backend",
            hint="use 2 to 30 lower-case letters and digits, a letter first: it becomes URL scheme and module name",
        )
    if any(entry.name == name for entry in entry_points(group="iotstore.backends")):
        raise ConfigurationError(f"a backend for {name}:// is installed already", hint="choose another name")
    if find_spec(f"iotstore_{name}") is not None:
        raise ConfigurationError(f"a package iotstore_{name} is installed already", hint="choose another name")


def write_package(name: str, directory: Path) -> list[Path]:
    """Write the package for a backend called *name* into the new folder *directory*; returns the files, sorted."""
    check_name(name)
    words = {"name": name, "Name": name.capitalize(), "version": version("iotstore")}
    try:
        directory.mkdir(parents=True)
    except FileExistsError as error:
        raise ConfigurationError(f"{directory} exists already", hint="name a folder that does not") from error
    except OSError as error:
        raise ConfigurationError(f"{directory} can't be made: {error.strerror}", hint="name another folder") from error
    written: list[Path] = []
    for path, template in _templates(files(__name__) / "templates"):
        target = directory / _filled(path, words)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled(template.read_text("utf-8"), words), "utf-8", newline="\n")
        written.append(target)
    return sorted(written)


def _templates(folder: Traversable, before: str = "") -> Iterator[tuple[str, Traversable]]:
    """Every template with the path of the file that is made of it."""
    for item in folder.iterdir():
        plain = item.name.removesuffix(_SUFFIX)
        path = before + _MOVED.get(plain, plain)
        if item.is_dir():
            yield from _templates(item, f"{path}/")
        elif item.name.endswith(_SUFFIX):
            yield path, item


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
