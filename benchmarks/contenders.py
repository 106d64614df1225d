"""Compare with what somebody would pick instead: `python benchmarks/contenders.py --backend NAME [--full|--growth N]`.

All of them do the same work in turns and must hold the same rows and give the same answers; with --growth they write
up to N points, each in a process of its own. `--page` writes docs/comparison.md and its plots from the result files;
`--check` only says whether they are what the files give.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from instead import comparison, growth, on_neo4j, page
from instead.comparison import Sizes
from sidebyside.catalogue import engine_of
from sidebyside.results import machine, versions

from iotstore import ConfigurationError

ROOT = Path(__file__).parent.parent
BACKENDS = (*comparison.CONTENDERS, "neo4j")
_QUICK_NEO4J = Sizes(200, 1, 200, 0, 3, 0.01, 0, 0, 200)
_FULL_NEO4J = Sizes(500, 1, 1_000, 0, 7, 0.05, 0, 0, 500)


def main(arguments: Sequence[str]) -> int:
    """Compare and print, or write the page."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.page or asked.check:
        return page.write(ROOT / "benchmarks" / "results" / "instead", ROOT / "docs", check=asked.check)
    if asked.growth is not None and asked.backend not in comparison.CONTENDERS:
        parser.error(f"{asked.backend} keeps no points; choose another backend for --growth")
    try:
        if asked.growth is not None:
            _grow(asked)
        else:
            _keep(_compared(asked), asked.json)
    except ConfigurationError as error:
        parser.error(str(error))
    except ImportError as error:
        parser.error(f"{error}; `nox -s bench` installs everything that takes part")
    return 0


def _keep(result: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contenders.py", description="Compare with what somebody would pick instead.")
    parser.add_argument("--backend", choices=BACKENDS, default="sqlite")
    parser.add_argument("--full", action="store_true", help="as many rows and turns as the page quotes")
    parser.add_argument("--growth", type=int, choices=growth.SIZES, metavar="N", help="write up to so many points")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--page", action="store_true", help="write docs/comparison.md from the result files")
    parser.add_argument("--check", action="store_true", help="say whether the page is what the result files give")
    return parser


def _compared(asked: argparse.Namespace) -> dict[str, Any]:
    if asked.backend == "neo4j":
        sizes = _FULL_NEO4J if asked.full else _QUICK_NEO4J
        found = on_neo4j.compare(sizes)
        known: dict[str, Any] = _versions_on_neo4j()
    else:
        engine = engine_of(asked.backend)
        sizes = comparison.FULL if asked.full else comparison.QUICK
        found = comparison.everything(asked.backend, engine, sizes)
        known = versions(engine) | comparison.versions(asked.backend)
    results = page.ratios(found)
    for name, row in results.items():
        print(f"{name:14}", *(f"{other}: {one['ratio']:.2f}x" for other, one in row["others"].items()))
    return {
        "backend": asked.backend,
        "command": f"python benchmarks/contenders.py --backend {asked.backend}" + (" --full" if asked.full else ""),
        "sizes": asdict(sizes),
        "machine": msgspec.to_builtins(machine()),
        "versions": known,
        "results": results,
    }


def _grow(asked: argparse.Namespace) -> None:
    engine = engine_of(asked.backend)
    about = {
        "backend": asked.backend,
        "command": f"python benchmarks/contenders.py --backend {asked.backend} --growth {asked.growth}",
        "machine": msgspec.to_builtins(machine()),
        "versions": versions(engine) | comparison.versions(asked.backend),
    }
    growth.measure(
        asked.backend, engine, asked.growth, lambda results: _keep({**about, "results": results}, asked.json)
    )


def _versions_on_neo4j() -> dict[str, str]:
    """The versions of everything that took part."""
    from iotstore_conformance.servers import neo4j  # noqa: PLC0415 - only here a server of Neo4j is needed

    found = {"python": platform.python_version(), "neo4j server": neo4j().version.removeprefix("Neo4j ")}
    for module, contender_class in on_neo4j.CONTENDERS:
        for need in getattr(import_module(module), contender_class).needs:
            found[need] = importlib.metadata.version(need)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
