"""Count what operations cost: `python benchmarks/count.py [--backend NAME] [--write]`.

Statements, round trips, steps, blocks and bytes are the same on a quiet and on a busy machine. The exit code is 1 when
one of them is larger than `benchmarks/counts.json` says; with --write the file gets what was counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from counted.book import METERS, count, grown, read_book, write_down


def main(arguments: Sequence[str]) -> int:
    """Count, print a table, and compare with the book or write into it."""
    parser = argparse.ArgumentParser(
        prog="count.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backend", choices=sorted(METERS), default="sqlite")
    parser.add_argument("--write", action="store_true", help="write what is counted into the book")
    asked = parser.parse_args(arguments)
    engine, counts = count(asked.backend)
    columns = list(next(iter(counts.values())))
    print(f"{engine:20}", *(f"{column:>12}" for column in columns))
    for name, found in counts.items():
        print(f"{name:20}", *(f"{found[column]:12,}" for column in columns))
    if asked.write:
        write_down(asked.backend, engine, counts)
        return 0
    entry = read_book().get(asked.backend)
    if entry is None:
        parser.error(f"the book has no counts of {asked.backend}; --write makes them")
    lines = grown(entry, engine, counts)
    print(*lines or ["nothing grew"], sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
