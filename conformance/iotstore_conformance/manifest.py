"""What a run is held against: the ids of all clauses, the versions, and a digest over sentences and code."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from iotstore_conformance.registry import Clause, load_clauses

#: The version of the suite: of its clauses and of the code that runs them.
SUITE_VERSION: Final = "1.0.0"
#: The version of the contract: of the sentences that a backend keeps.
CONTRACT_VERSION: Final = "1.0"

_PACKAGE: Final = "iotstore_conformance"
# Where the code that decides begins; what these import from the package decides too.
_ROOTS: Final = ("execution", "judging", "accounting")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that a complete run of the installed suite proves."""

    suite: str
    contract: str
    digest: str
    clauses: tuple[Clause, ...]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all clauses."""
        return frozenset(clause.id for clause in self.clauses)

    def inapplicable(self, engine: str | None) -> frozenset[str]:
        """The ids of the clauses that are about another kind of engine. Nobody is excused who declares no kind."""
        if engine is None:
            return frozenset()
        return frozenset(clause.id for clause in self.clauses if clause.requires not in (None, engine))

    def of(self, profile: str) -> tuple[Clause, ...]:
        """The clauses of one profile."""
        return tuple(clause for clause in self.clauses if clause.profile == profile)


def provisional(clause: Clause, suite: str = SUITE_VERSION) -> bool:
    """Whether the clause came with this minor version: it is run and shown, and counts from the next one."""
    major, minor, *_ = suite.split(".")
    # A new major version starts with clauses that count: it is the one that may break.
    return minor != "0" and clause.since == f"{major}.{minor}"


@cache
def manifest() -> Manifest:
    """The manifest of the installed suite."""
    clauses = load_clauses()
    return Manifest(SUITE_VERSION, CONTRACT_VERSION, _digest(clauses), clauses)


def _digest(clauses: tuple[Clause, ...]) -> str:
    found = hashlib.sha256()
    for clause in clauses:
        needs = ",".join(need.value for need in clause.needs)
        found.update(
            f"{clause.id}\0{clause.profile}\0{needs}\0{clause.deep}\0{clause.since}\0{clause.requires}\0"
            f"{clause.sentence}\0".encode()
        )
    for name, text in sorted(deciding_modules().items()):
        found.update(f"{name}\0{text}\0".encode())
    return f"sha256:{found.hexdigest()}"


def deciding_modules() -> dict[str, str]:
    """The text of every module that clauses, or what runs and judges them, import; by name, with plain line ends."""
    texts = dict(_modules(files(_PACKAGE), ""))
    wanted = [name for name in texts if name.startswith("clauses.")]
    wanted += [name for name in _ROOTS if name in texts]
    found: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = texts[name]
            wanted += [used for used in _imports(texts[name]) if used in texts]
    return found


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for item in folder.iterdir():
        if item.is_dir() and item.name.isidentifier():
            yield from _modules(item, f"{prefix}{item.name}.")
        elif item.name.endswith(".py"):
            text = item.read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n")
            yield prefix + item.name.removesuffix(".py"), text


def _imports(text: str) -> Iterator[str]:
    """The modules of this package that a module imports, as names below the package."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            inner = (node.module or "")[len(_PACKAGE) + 1 :]
            yield from (inner, f"{inner}.__init__")
            yield from (f"{inner}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name[len(_PACKAGE) + 1 :] for name in node.names if name.name.startswith(f"{_PACKAGE}."))
