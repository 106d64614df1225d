"""``iotstore explain``: a question in the words of the API, and what the engine does to answer it."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from iotstore import Store
from iotstore.cli._common import emit, opened
from iotstore.cli._formats import parse_duration, parse_instant
from iotstore.cli._parser import Unfinished
from iotstore.cli._terminal import Terminal

DOMAINS: Final = ("devices", "groups", "locations", "owners", "connections", "alerts", "telemetry", "settings")
_WORDS_OF_BOOL: Final = {"true": True, "yes": True, "false": False, "no": False}


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Ask the question, and show every statement it took with its plan."""
    with opened(args) as store:
        told = store.explain(lambda reading: _ask(reading, args.question, args.arguments))
    if args.json:
        emit(terminal, told)
        return 0
    if not told:
        terminal.line("No statement was needed: the answer was known.")
    for number, (statement, plan, times) in enumerate(told, 1):
        again = f"  ({times} times)" if times > 1 else ""
        terminal.line(f"{number}. {terminal.paint(' '.join(statement.split()), 'bold')}{again}")
        terminal.lines([f"     {line}" for line in plan])
        terminal.line()
    return 0


def _ask(store: Store, question: str, words: Sequence[str]) -> object:
    domain, _, name = question.partition(".")
    if domain not in DOMAINS or not name:
        raise Unfinished(f"{question!r} names no question; write DOMAIN.METHOD with one of: {', '.join(DOMAINS)}")
    method = None if name.startswith("_") else getattr(getattr(store, domain), name, None)
    if not callable(method):
        raise Unfinished(f"store.{domain} has no method {name!r}")
    positional, named = _arguments(method, f"{domain}.{name}", words)
    return method(*positional, **named)


def _arguments(method: Callable[..., Any], name: str, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """What was typed as what the method takes; a word with ``=`` is for the parameter of that name."""
    signature = inspect.signature(method)
    shown = f"{name}{signature}".replace("'", "")
    hints = get_type_hints(method)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    in_order = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    for word in words:
        key, is_named, value = word.partition("=")
        if is_named and key in signature.parameters:
            named[key] = _value(value, hints.get(key, str), key)
        elif len(positional) < len(in_order):
            key = in_order[len(positional)]
            positional.append(_value(word, hints.get(key, str), key))
        else:
            raise Unfinished(f"{shown} takes no {word!r}")
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        raise Unfinished(f"{shown}: {error}") from error
    return positional, named


def _value(word: str, hint: Any, name: str) -> Any:
    """The word as the first of the types that can take it."""
    for of in _types(hint):
        try:
            return _typed(word, of)
        except ValueError:
            continue
    raise Unfinished(f"{word!r} can't be the argument {name}, which is {getattr(hint, '__name__', hint)}")


def _types(hint: Any) -> Iterable[Any]:
    """The types of a union, text last: it takes everything."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return sorted((part for part in parts if part is not NoneType), key=lambda part: part in (str, object, Any))


def _typed(word: str, of: Any) -> Any:
    if get_origin(of) is Literal:
        if word in get_args(of):
            return word
        raise ValueError(word)
    if of in (str, object, Any):
        return word
    if of is bool:
        if word in _WORDS_OF_BOOL:
            return _WORDS_OF_BOOL[word]
        raise ValueError(word)
    if of in (int, float):
        return of(word)
    if of is datetime:
        return parse_instant(word)
    if of is timedelta:
        return parse_duration(word)
    if inspect.isclass(get_origin(of)) and issubclass(get_origin(of), Iterable):
        inner = get_args(of) or (str,)
        return [_value(part, inner[0], "of the list") for part in word.split(",")]
    raise ValueError(word)
