"""A figure that was measured stands on a page written from result files; elsewhere it agrees with one, and says how."""

import re
from collections.abc import Container
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATED = re.compile(r"<!-- Written by `(?P<command>python benchmarks/[^`]+)` from `(?P<folder>[^`]+)`")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    # Not ARCHITECTURE.md: a decision keeps what was measured when it was made.
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/*.md",
        "backends/*/README.md",
        "examples/*/README.md",
        "conformance/README.md",
    )
    for path in sorted(ROOT.glob(pattern))
}
WRITTEN = {name: text for name, text in PAGES.items() if GENERATED.search(text)}
NUMBER = r"(?<![\w.])\d(?:[\d.,]*\d)?(?: to \d(?:[\d.,]*\d)?)?"
FIGURE = re.compile(rf"{NUMBER} ?(?:x|µs|ns|ms|MB|GB)\b|{NUMBER} (?:times|bytes|\w+ per second)\b")
COMMAND = re.compile(r"`(?:python benchmarks/|nox -s bench)[^`]*`")
# What is set, needed or defined, and not measured.
GIVEN = {"docs/servers.md": {"150 MB": "what is downloaded", "512 MB": "the memory that a server is given"}}


def prose(page: str) -> list[str]:
    """The paragraphs of a page without blocks of code, which are run or compared elsewhere."""
    return re.split(r"\n\s*\n", re.sub(r"^( *)```.*?^\1```$", "", page, flags=re.MULTILINE | re.DOTALL))


def unproven(page: str, written: list[str], given: Container[str] = ()) -> list[str]:
    """The figures of a page that no written page holds, or whose paragraph names no command that measures them."""
    found: list[str] = []
    for paragraph in prose(page):
        for match in FIGURE.finditer(re.sub(r"`[^`]*`", "", paragraph)):
            figure = match[0]
            held = any(re.search(rf"(?<![\w.]){re.escape(figure)}(?![\w.]*\d)", text) for text in written)
            if figure not in given and not (held and COMMAND.search(paragraph)):
                found.append(figure)
    return found


@pytest.mark.parametrize("name", [name for name in PAGES if name not in WRITTEN])
def test_a_page_written_by_hand_quotes_only_figures_of_the_last_results_and_names_their_command(name: str) -> None:
    assert unproven(PAGES[name], list(WRITTEN.values()), GIVEN.get(name, {})) == []


def test_pages_of_figures_name_the_commands_that_measured_and_wrote_them() -> None:
    """Tests of their own compare them with the result files."""
    assert {"docs/performance.md", "docs/comparison.md"} <= set(WRITTEN)
    for name, text in WRITTEN.items():
        said = GENERATED.search(text)
        assert said is not None
        program = said["command"].split()[1]
        assert (ROOT / program).is_file()
        assert list((ROOT / said["folder"]).glob("*.json")), f"{name} is written from nothing"
        sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
        measured = [part for part in sections if re.search(r"^\|.*\d ?(?:x|µs|ms)\b", part, re.MULTILINE)]
        assert measured
        assert [part[:40] for part in measured if "$ python benchmarks/" not in part] == []


def test_what_is_given_and_looks_like_a_figure_is_still_on_its_page() -> None:
    assert [(name, figure) for name, some in GIVEN.items() for figure in some if figure not in PAGES[name]] == []


RESULTS = ["| one device | **1.14x** time | 10.47 µs per call |"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It takes 1.14x the time (`python benchmarks/run.py --full`).", []),
        ("It takes 1.14x the time.", ["1.14x"]),
        ("It takes 1.1x the time (`python benchmarks/run.py --full`).", ["1.1x"]),
        ("A read takes 10.47 µs,\nas `python benchmarks/run.py` says.", []),
        ("A read takes 0.47 µs,\nas `python benchmarks/run.py` says.", ["0.47 µs"]),
        ("It was 6 to 20 times as long: 1,000 rows per second.", ["6 to 20 times", "1,000 rows per second"]),
        ("It waits `30 s`.\n\n```console\nit took 3 ms\n```\n", []),
        ("It takes 2 ms, and `python benchmarks/run.py` is\n\nin another paragraph: 1.14x.", ["2 ms", "1.14x"]),
    ],
)
def test_a_planted_figure_that_is_not_proven_is_found(text: str, expected: list[str]) -> None:
    assert unproven(text, RESULTS) == expected
