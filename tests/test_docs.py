"""The code in the documentation runs: python blocks in one namespace per page, consoles through the command line."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/**/*.md", "conformance/README.md")
    for path in ROOT.glob(pattern)
) + sorted(ROOT.glob("backends/*/README.md"))

NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    code: str
    line: int
    reason_not_run: str | None


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of *page*, each with the comment that excuses it from running, if there is one."""
    lines = page.splitlines()
    before = ""
    at = 0
    while at < len(lines):
        fence = re.fullmatch(r"(\s*)(```+)([\w-]*).*", lines[at])
        if fence is None:
            before = lines[at] if lines[at].strip() else before
            at += 1
            continue
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[2]), None)
        if end is None:
            raise ValueError(f"the block that opens in line {at + 1} is never closed")
        code = "\n".join(line.removeprefix(fence[1]) for line in lines[at + 1 : end])
        excuse = NOT_RUN.search(before)
        yield Block(fence[3], code, at + 1, excuse[1] if excuse else None)
        before, at = "", end + 1


def console_commands(code: str) -> list[list[str]]:
    """Return the `iotstore` commands that a console block shows, continuation lines joined."""
    joined = re.sub(r"\\\n\s*>?\s*", "", code)
    shown = [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in shown if re.match(r"iotstore(\s|$)", line)]


def run_page(text: str, name: str, folder: Path) -> tuple[int, int]:
    """Run a page's blocks in *folder*; return how many ran and how many are excused."""
    # A process of its own: its working directory, threads and stores end with it, and warnings are errors in it.
    ran = excused = 0
    program: list[str] = []
    for block in blocks(text):
        commands = console_commands(block.code) if block.language == "console" else []
        if block.language != "python" and not commands:
            continue
        if block.reason_not_run:
            excused += 1
            continue
        ran += 1
        if block.language == "python":
            padded = "\n" * block.line + block.code  # tracebacks name the page's own line
            program.append(f"exec(compile({padded!r}, {name!r}, 'exec'), page)")
        program += [f"cli({command[1:]!r})" for command in commands]
    if not program:
        return ran, excused
    prelude = [
        "import subprocess, sys",
        "page = {'__name__': '__main__'}",
        "main = 'import sys; from iotstore.cli import main; sys.exit(main())'",
        "def cli(args):",
        "    subprocess.run([sys.executable, '-W', 'error', '-c', main, *args], check=True)",
    ]
    script = folder / "page_runner.py"
    script.write_text("\n".join(prelude + program), "utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{name}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return ran, excused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_the_page_runs(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran, excused = run_page(page.read_text("utf-8"), page.relative_to(ROOT).as_posix(), tmp_path)

    if excused:
        with capsys.disabled():
            sys.stdout.write(f"\n{page.relative_to(ROOT)}: {ran} blocks ran, {excused} excused with a reason\n")


def test_the_readme_shows_python_and_a_console_that_run() -> None:
    shown = list(blocks((ROOT / "README.md").read_text("utf-8")))

    assert [block for block in shown if block.language == "python" and not block.reason_not_run]
    assert [block for block in shown if block.language == "console" and console_commands(block.code)]


def test_a_page_shares_one_namespace_and_works_in_its_own_folder(tmp_path: Path) -> None:
    page = "```python\nx = 1\n```\ntext\n```python\nopen('made', 'w').close()\nassert x == 1\n```\n"

    assert run_page(page, "page.md", tmp_path) == (2, 0)
    assert (tmp_path / "made").exists()


def test_a_broken_block_is_reported_with_the_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r'page\.md", line 4'):
        run_page("# A\n\n```python\nraise KeyError\n```\n", "page.md", tmp_path)


def test_a_failing_console_command_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-command"):
        run_page("```console\n$ iotstore no-such-command\n```\n", "page.md", tmp_path)


def test_a_block_is_excused_only_by_a_comment_with_a_reason(tmp_path: Path) -> None:
    excused = "<!-- not run: needs a server -->\n```python\nraise KeyError\n```\n"
    assert run_page(excused, "page.md", tmp_path) == (0, 1)

    with pytest.raises(AssertionError, match="KeyError"):
        run_page(excused.replace(": needs a server", ""), "page.md", tmp_path)


def test_a_block_that_is_never_closed_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 1 is never closed"):
        list(blocks("```python\nx = 1\n"))
