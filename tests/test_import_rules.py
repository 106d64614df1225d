"""Who may import whom: the layers of ARCHITECTURE.md as a table, checked on the syntax trees of all packages."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# The rooms of the core, bottom line first. A module imports from its own line and from lines above this one in the
# table, never from a line below it.
LINES: list[set[str]] = [
    {"errors"},
    {"_values", "_clock"},
    {"_waist"},
    {"backend"},
    {"_config", "_urls"},
    {"_calendar"},
    {"_series"},
    {"_kinds"},
    {"_query"},
    {"_engine"},
    {"hookspecs"},
    {"_registry"},
    {"_graph"},
    {"_catalogue"},
    {"_projection"},
    {"_domains"},
    {"_opening"},
    {"store"},
    {"__init__"},
    {"cli", "__main__"},
]
RANK = {room: rank for rank, line in enumerate(LINES) for room in line}

STDLIB = set(sys.stdlib_module_names) - {"sqlite3"}  # a driver that happens to ship with Python
LAZY_ONLY = {"numpy", "pyarrow"}  # heavy and optional: imported by the function that needs them
# Of the suite: what only a run on a server needs. The suite on SQLite is installed without them.
SERVER_TOOLS = {"docker", "neo4j", "psycopg", "testcontainers"}
DOORS = {"iotstore", "iotstore.backend"}

# What each package may import besides the standard library and itself. A trailing dot admits the whole package.
MAY_IMPORT: dict[str, set[str]] = {
    "iotstore": {"msgspec.", "pluggy.", "tzdata.", "numpy.", "pyarrow."},
    "iotstore_sql": {*DOORS, "sqlalchemy.", "alembic."},
    "iotstore_postgres": {
        *DOORS,
        "iotstore.cli.plugins",  # with the hooks, for its command
        "iotstore.hookspecs",
        "iotstore_sql.",
        "sqlalchemy.",
        "alembic.",
        "psycopg.",
        "psycopg_pool.",
        "numpy.",
    },
    "iotstore_neo4j": {*DOORS, "neo4j."},
    "iotstore_sqlite": {*DOORS, "iotstore_sql.", "sqlalchemy.", "alembic.", "sqlite3."},
    # msgspec writes its reports; the hooks are how it adds its commands.
    "iotstore_conformance": {
        *DOORS,
        "iotstore.hookspecs",
        "pytest.",
        "hypothesis.",
        "msgspec.",
        *(f"{tool}." for tool in SERVER_TOOLS),
    },
}


class Import(NamedTuple):
    """One import statement's target, and where and when it is executed."""

    target: str
    names: tuple[str, ...]
    line: int
    at_module_level: bool
    for_types_only: bool


def packages(root: Path) -> dict[str, Path]:
    """Find every package that is shipped from the checkout at *root*."""
    found = [root / "iotstore", *root.glob("backends/*/iotstore_*"), *root.glob("conformance/iotstore_*")]
    return {path.name: path for path in found if path.is_dir()}


def module_name(package: Path, file: Path) -> str:
    """Return the dotted name of *file* inside *package*."""
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(test: ast.expr) -> bool:
    """Tell whether *test* is the guard of imports that only type checkers see."""
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports(package: Path, file: Path) -> Iterator[Import]:
    """Yield every import of *file*, relative ones resolved."""
    here = module_name(package, file).split(".")
    if file.name != "__init__.py":
        here = here[:-1]

    def walk(node: ast.AST, top: bool, typed: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, (), child.lineno, top, typed)
            elif isinstance(child, ast.ImportFrom):
                base = here[: len(here) - child.level + 1] if child.level else []
                target = ".".join([*base, *((child.module or "").split(".") if child.module else [])])
                yield Import(target, tuple(alias.name for alias in child.names), child.lineno, top, typed)
            elif isinstance(child, ast.If) and is_type_checking(child.test):
                yield from walk(child, top, True)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, top and not inside, typed)

    yield from walk(ast.parse(file.read_text("utf-8"), str(file)), True, False)


def room(module: str) -> str:
    """Return the core's room that *module* lies in; the front door is a room of its own."""
    return [*module.split("."), "__init__"][1]


def targets(item: Import, modules: set[str]) -> Iterator[str]:
    """Yield the modules that *item* reaches: `from iotstore import backend` reaches a module, not a name."""
    inner = [f"{item.target}.{name}" for name in item.names if f"{item.target}.{name}" in modules]
    yield from inner
    if len(inner) < len(item.names) or not item.names:
        yield item.target


def admitted(package: str, target: str) -> bool:
    """Tell whether *package* may import the module *target* at all."""
    top = target.partition(".")[0]
    if top == package or top in STDLIB:
        return True
    return target in MAY_IMPORT.get(package, DOORS) or f"{top}." in MAY_IMPORT.get(package, DOORS)


def is_harness(package: Path, file: Path, target: str) -> bool:
    """Tell whether this is a backend's harness looking at the suite: the one module that only the suite loads."""
    suite = target.partition(".")[0] == "iotstore_conformance"
    return suite and package.parent.parent.name == "backends" and file == package / "harness.py"


def outside_violations(name: str, package: Path, modules: set[str]) -> Iterator[str]:
    """Yield the imports that leave *package* for somewhere it has no business."""
    lazy = LAZY_ONLY | SERVER_TOOLS if name == "iotstore_conformance" else LAZY_ONLY
    for file in sorted(package.rglob("*.py")):
        for item in imports(package, file):
            where = f"{module_name(package, file)}:{item.line}"
            for target in targets(item, modules):
                if not admitted(name, target) and not is_harness(package, file, target):
                    yield f"{where} imports {target}, which {name} may not"
                elif target.split(".")[0] in lazy and item.at_module_level and not item.for_types_only:
                    yield f"{where} imports {target} at module level"


def upward_violations(package: Path, modules: set[str]) -> Iterator[str]:
    """Yield the imports between rooms of the core that point upwards."""
    for file in sorted(package.rglob("*.py")):
        own = module_name(package, file)
        if room(own) not in RANK:
            yield f"{own} lies in no room of the table"
            continue
        for item in imports(package, file):
            for target in targets(item, modules):
                if target.split(".")[0] == "iotstore" and RANK.get(room(target), -1) > RANK[room(own)]:
                    yield f"{own}:{item.line} imports {target} from a room above"


def cycles(package: Path, modules: set[str]) -> list[list[str]]:
    """Return the groups of modules of *package* that import each other in a ring (Tarjan's components)."""
    graph: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        own = module_name(package, file)
        reached = {target for item in imports(package, file) for target in targets(item, modules)}
        graph[own] = {target for target in reached if target in modules and target != own}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    rings: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            at = stack.index(node)
            ring, stack[at:] = stack[at:], []
            if len(ring) > 1:
                rings.append(sorted(ring))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return rings


def check(root: Path) -> list[str]:
    """Return every broken import rule in the checkout at *root*, as sentences."""
    found = packages(root)
    modules = {module_name(path, file) for path in found.values() for file in path.rglob("*.py")}
    problems: list[str] = []
    for name, path in found.items():
        problems += outside_violations(name, path, modules)
        problems += (f"import cycle: {' <-> '.join(ring)}" for ring in cycles(path, modules))
    if "iotstore" in found:
        problems += upward_violations(found["iotstore"], modules)
    return problems


def plant(root: Path, files: dict[str, str]) -> None:
    """Write a small checkout of *files* at *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


CLEAN = {
    "iotstore/__init__.py": "from iotstore.store import Store\n",
    "iotstore/store.py": "from iotstore._waist.layout import Layout\ndef f():\n    import numpy\n",
    "iotstore/backend.py": "from ._waist import layout\n",
    "iotstore/_waist/__init__.py": "",
    "iotstore/_waist/layout.py": "import typing\nfrom iotstore import errors\n",
    "iotstore/errors.py": "",
    "backends/sqlite/iotstore_sqlite/__init__.py": "import sqlite3\nfrom iotstore.backend import Backend\n",
    "backends/sql/iotstore_sql/__init__.py": "import sqlalchemy\nimport iotstore\n",
    "backends/sqlite/iotstore_sqlite/harness.py": "from iotstore_conformance.harness import Harness\n",
    "conformance/iotstore_conformance/__init__.py": "import pytest\nfrom iotstore import open\n",
}

SQLITE = "backends/sqlite/iotstore_sqlite/extra.py"
POSTGRES = "backends/postgres/iotstore_postgres/extra.py"
SUITE = "conformance/iotstore_conformance/extra.py"
PLANTS = [
    ("iotstore/_urls.py", "import iotstore_sqlite\n", r"iotstore\._urls:1 imports iotstore_sqlite, which iotstore may"),
    ("iotstore/_urls.py", "def f():\n    import sqlite3\n", r"iotstore\._urls:2 imports sqlite3, which iotstore may"),
    ("iotstore/_urls.py", "import sqlalchemy.sql\n", "imports sqlalchemy.sql, which iotstore may not"),
    ("iotstore/_urls.py", "import pytest\n", "imports pytest, which iotstore may not"),
    ("iotstore/_urls.py", "try:\n    import numpy\nexcept ImportError:\n    pass\n", "imports numpy at module level"),
    ("iotstore/_urls.py", "import pyarrow.compute\n", "imports pyarrow.compute at module level"),
    ("iotstore/_waist/up.py", "from iotstore.store import Store\n", "imports iotstore.store from a room above"),
    ("iotstore/_waist/up.py", "from .. import store\n", "imports iotstore.store from a room above"),
    ("iotstore/_waist/up.py", "def f():\n    import iotstore\n", "imports iotstore from a room above"),
    ("iotstore/drawer.py", "", "iotstore.drawer lies in no room of the table"),
    (SQLITE, "from iotstore.store import Store\n", "imports iotstore.store, which iotstore_sqlite may not"),
    (SQLITE, "from iotstore import _waist\n", "imports iotstore._waist, which iotstore_sqlite may not"),
    (POSTGRES, "import sqlite3\n", "imports sqlite3, which iotstore_postgres may not"),
    (POSTGRES, "import iotstore_sqlite\n", "imports iotstore_sqlite, which iotstore_postgres may not"),
    (SQLITE, "import psycopg\n", "imports psycopg, which iotstore_sqlite may not"),
    (SQLITE, "import iotstore_conformance\n", "imports iotstore_conformance, which iotstore_sqlite may not"),
    ("backends/sql/iotstore_sql/extra.py", "import sqlite3\n", "imports sqlite3, which iotstore_sql may not"),
    (
        "backends/mine/iotstore_mine/a.py",
        "import iotstore_sqlite\n",
        "imports iotstore_sqlite, which",
    ),
    (SUITE, "import iotstore_sqlite\n", "imports iotstore_sqlite, which iotstore_conformance may not"),
    (SUITE, "import sqlite3\n", "imports sqlite3, which iotstore_conformance may not"),
    (SUITE, "import psycopg\n", "imports psycopg at module level"),
    (SUITE, "from testcontainers.core import config\n", "imports testcontainers.core at module level"),
    (SUITE, "def f():\n    import psycopg_pool\n", "imports psycopg_pool, which iotstore_conformance may not"),
    (SUITE, "from iotstore.errors import NotFound\n", "imports iotstore.errors, which iotstore_conformance may not"),
]


def test_every_import_in_the_checkout_keeps_the_rules() -> None:
    assert check(ROOT) == []


def test_the_checker_reads_real_packages() -> None:
    """An empty list of problems means something only because there were modules to look at."""
    assert {"iotstore", "iotstore_sql", "iotstore_postgres", "iotstore_sqlite", "iotstore_conformance"} <= set(
        packages(ROOT)
    )
    assert sum(1 for path in packages(ROOT).values() for _ in path.rglob("*.py")) > 20


def test_a_clean_small_checkout_has_no_problem(tmp_path: Path) -> None:
    plant(tmp_path, CLEAN)

    assert check(tmp_path) == []


@pytest.mark.parametrize(("file", "text", "problem"), PLANTS, ids=[f"{n}-{p[0]}" for n, p in enumerate(PLANTS)])
def test_a_planted_violation_is_the_one_problem_reported(tmp_path: Path, file: str, text: str, problem: str) -> None:
    plant(tmp_path, {**CLEAN, file: text})

    (found,) = check(tmp_path)

    assert re.search(problem, found)


def test_a_planted_cycle_is_reported_even_through_a_function(tmp_path: Path) -> None:
    ring = {
        "iotstore/_waist/a.py": "from iotstore._waist import b\n",
        "iotstore/_waist/b.py": "import iotstore._waist.c\n",
        "iotstore/_waist/c.py": "def f():\n    from . import a\n",
    }
    plant(tmp_path, {**CLEAN, **ring})

    assert check(tmp_path) == ["import cycle: iotstore._waist.a <-> iotstore._waist.b <-> iotstore._waist.c"]


HEAVY = ["sqlite3", "sqlalchemy", "alembic", "psycopg", "neo4j", "numpy", "pyarrow", "pytest", "pluggy"]


def test_importing_iotstore_loads_no_driver_and_nothing_heavy() -> None:
    program = f"import sys, iotstore; print([name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
