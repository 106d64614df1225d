"""Compare with what somebody would pick instead: `python benchmarks/contenders.py [--backend NAME] [--full]`.

All of them do the same work in turns and must hold the same rows and give the same answers. `--page` writes
docs/comparison.md and its plots from the result files; `--check` only says whether they are what the files give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
from instead import comparison, page
from sidebyside.catalogue import engine_of
from sidebyside.results import machine, versions

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str]) -> int:
    """Compare and print, or write the page."""
    parser = argparse.ArgumentParser(prog="contenders.py", description="Compare with what somebody would pick instead.")
    parser.add_argument("--backend", choices=sorted(comparison.CONTENDERS), default="sqlite")
    parser.add_argument("--full", action="store_true", help="as many rows and turns as the page quotes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    parser.add_argument("--page", action="store_true", help="write docs/comparison.md from the result files")
    parser.add_argument("--check", action="store_true", help="say whether the page is what the result files give")
    asked = parser.parse_args(arguments)
    if asked.page or asked.check:
        return page.write(ROOT / "benchmarks" / "results" / "instead", ROOT / "docs", check=asked.check)
    engine = engine_of(asked.backend)
    sizes = comparison.FULL if asked.full else comparison.QUICK
    with comparison.contenders(asked.backend, engine) as everybody:
        found = comparison.compare(everybody, sizes)
    result = {
        "backend": asked.backend,
        "command": f"python benchmarks/contenders.py --backend {asked.backend}" + (" --full" if asked.full else ""),
        "sizes": asdict(sizes),
        "machine": msgspec.to_builtins(machine()),
        "versions": versions(engine) | comparison.versions(asked.backend),
        "results": page.ratios(found),
    }
    for name, row in result["results"].items():
        print(f"{name:12}", *(f"{other}: {one['ratio']:.1f}x" for other, one in row["others"].items()))
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
