"""Store URLs: parsed, with options, and shown without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_plus, urlencode

from iotstore.errors import ConfigurationError

_SECRET: Final = ("password", "secret", "token", "key", "passphrase")
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """The parts of ``scheme://user:password@host:port,host/path?option=value``."""

    scheme: str
    user: str | None
    password: str | None
    hosts: tuple[tuple[str, int | None], ...]
    path: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        # Also what a traceback with its variables shows.
        return f"<Url {self.display}>"

    @property
    def display(self) -> str:
        """The URL without its secrets, for messages."""
        user = quote(self.user, safe="") if self.user else ""
        login = f"{user}:{HIDDEN}@" if self.password else f"{user}@" if user else ""
        hosts = ",".join(host if port is None else f"{host}:{port}" for host, port in self.hosts)
        shown = {name: HIDDEN if is_secret(name) else value for name, value in self.options.items()}
        options = "?" + urlencode(shown, safe="/:*") if shown else ""
        return f"{self.scheme}://{login}{hosts}{quote(self.path, safe='/:')}{options}"


def is_secret(name: str) -> bool:
    """Whether an option of this name holds a secret."""
    return any(word in name.lower() for word in _SECRET)


def redact(text: str) -> str:
    """Any text that should be a URL, without what may be a secret; used where it could not even be parsed."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return HIDDEN if any(mark in text for mark in "@:?=") else text
    # A password that nobody quoted may hold any of these, so only what has none of them is shown.
    shown = HIDDEN if any(mark in rest for mark in "@:?=") else rest
    return f"{scheme if _is_scheme(scheme) else HIDDEN}://{shown}"


def parse_url(text: str) -> Url:
    """The parts of a URL. For files, as usual: three slashes for a relative path, four for an absolute one."""
    scheme, separator, rest = text.partition("://")
    if not separator or not _is_scheme(scheme):
        raise _refused(text, "write one like sqlite:///home.db or postgresql://host/name")
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    if netloc and "@" in path + query:
        raise _refused(text, "write / ? and @ in a password as %2F %3F and %40")
    login, at, place = netloc.rpartition("@")
    user, colon, password = login.partition(":")
    return Url(
        scheme=scheme.lower(),
        user=unquote(user) if at and user else None,
        password=unquote(password) if colon else None,
        hosts=tuple(_host(part, text) for part in place.split(",") if part),
        path=unquote(slash + path),
        options=_options(query, text),
    )


def _is_scheme(text: str) -> bool:
    return text.isascii() and text.replace("+", "").replace("-", "").isalnum()


def _refused(text: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{redact(text)!r} is not a store URL", hint=hint)


def _host(place: str, text: str) -> tuple[str, int | None]:
    if place == ":memory:":
        return place, None
    if place.startswith("["):
        host, bracket, port = place.partition("]")
        host, colon, port = host + bracket, port[:1], port[1:]
    else:
        host, colon, port = place.partition(":")
    # Checked before it is converted: an error of int() would quote what may be a password.
    if colon not in ("", ":") or (colon and not (port.isascii() and port.isdigit() and len(port) < 6)):
        raise _refused(text, "a port is a number")
    return unquote(host), int(port) if colon else None


def _options(query: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise _refused(text, "options are written as ?name=value&other=value")
        name = unquote_plus(name)
        if name in options:
            raise _refused(text, f"the option {name!r} comes twice")
        options[name] = unquote_plus(value)
    return options
