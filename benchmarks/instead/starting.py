"""Cold starts: a fresh interpreter imports what a contender's users import, and shows the help of its command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidebyside import starts

from instead.turns import Found

#: What a program with each of them imports at its beginning.
IMPORTS: Final = {
    "WithIotstore": ("iotstore", "iotstore"),
    "WithSqlite3": ("sqlite3 by hand", "sqlite3"),
    "WithPsycopg": ("psycopg by hand", "psycopg"),
    "WithSqlalchemy": ("SQLAlchemy ORM", "sqlalchemy, sqlalchemy.orm"),
    "WithDjango": ("Django ORM", "django, django.db.models"),
    "WithPeewee": ("peewee", "peewee"),
    "WithSqliteUtils": ("sqlite-utils", "sqlite_utils"),
    "WithPandas": ("pandas to_sql", "pandas, sqlalchemy"),
    "WithDuckdb": ("DuckDB", "duckdb"),
}
_HELP: Final = "import sys; sys.argv = [{name!r}, {option!r}]; from {module} import {main}; sys.exit({main}())"
#: The commands that some of them bring.
HELP: Final = {
    "WithIotstore": _HELP.format(name="iotstore", option="--help", module="iotstore.cli", main="main"),
    "WithSqliteUtils": _HELP.format(name="sqlite-utils", option="--help", module="sqlite_utils.cli", main="cli"),
    "WithDjango": _HELP.format(
        name="django-admin", option="--help", module="django.core.management", main="execute_from_command_line"
    ),
}
TITLES: Final = {"import": "Import", "help": "Help of its command, the interpreter's start included"}


def compare(contenders: Sequence[tuple[str, str]], rounds: int) -> dict[str, Found]:
    """Seconds of each round; the first brings files into memory and does not count."""
    classes = [name for _, name in contenders]
    found: dict[str, Found] = {
        "import": {IMPORTS[name][0]: [] for name in classes},
        "help": {IMPORTS[name][0]: [] for name in classes if name in HELP},
    }
    for turn in range(rounds + 1):
        for name in [*classes[turn % len(classes) :], *classes[: turn % len(classes)]]:
            title, modules = IMPORTS[name]
            took = starts.seconds_to_import(modules)
            shown = starts.run(HELP[name])[1] / 1000 if name in HELP else None
            if turn:
                found["import"][title].append(took)
                if shown is not None:
                    found["help"][title].append(shown)
    return found
