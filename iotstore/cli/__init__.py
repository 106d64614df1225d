"""The command line: ``iotstore demo``, ``iotstore health``, ``iotstore backup create`` and the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iotstore.cli._parser import Unfinished, parse
from iotstore.cli._terminal import Terminal, clean
from iotstore.errors import StoreError

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]

FAILED = 1
USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 1 an error of the store or a check that failed, 2 wrong usage, 130 an interruption, 141 a reader that
    went away (``iotstore alerts | head``).
    """
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain again when it flushes at exit; nobody reads any more.
        _silence_stdout()
        return PIPE_CLOSED
    return code


def _run(argv: list[str]) -> int:
    try:
        return _call(parse(argv))
    except SystemExit as stop:  # argparse has printed the help
        return stop.code if isinstance(stop.code, int) else USAGE
    except Unfinished as error:
        _complain(str(error))
        return USAGE
    except StoreError as error:
        if "--debug" in argv:
            raise
        _complain(str(error))
        return FAILED


def _call(args: argparse.Namespace) -> int:
    run = args.run
    if isinstance(run, str):
        from importlib import import_module

        module, _, name = run.partition(":")
        run = getattr(import_module(module), name)
        return int(run(args, Terminal()))
    # A plugin's command gets the arguments alone; returning nothing means success.
    return int(run(args) or 0)


def _complain(message: str) -> None:
    text = " ".join(clean(message).split())
    Terminal(sys.stderr).line(f"iotstore: {text}")


def _silence_stdout() -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # a stream without a descriptor has nothing to be silenced
        return
