"""Finding backends: entry points by URL scheme, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import pluggy  # noqa: TID253 - this module is loaded by open() only

from iotstore import hookspecs
from iotstore._waist.capabilities import Capability, NotSupported
from iotstore._waist.contract import Backend
from iotstore.errors import BackendUnavailable, ConfigurationError

GROUP: Final = "iotstore.backends"
# Backends of this distribution whose driver comes with an extra.
_EXTRAS: Final = {
    "postgresql": "postgres",
    "postgres": "postgres",
    **{f"{scheme}{tls}": "neo4j" for scheme in ("neo4j", "bolt") for tls in ("", "+s", "+ssc")},
}


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One installed backend: its URL scheme, the distribution it comes from, and whether it can be loaded."""

    scheme: str
    distribution: str
    version: str
    problem: str | None
    supported: tuple[str, ...]
    unsupported: tuple[tuple[str, str], ...]


def plugin_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks."""
    manager = pluggy.PluginManager("iotstore")
    manager.add_hookspecs(hookspecs)
    return manager


def backend_class(scheme: str) -> type[Backend]:
    """The backend for a URL scheme; only its plugin is imported."""
    found = _entry_points().get(scheme)
    if found is None:
        _installed.cache_clear()  # it may have been installed since: an hour into a notebook, or into a test's folder
        found = _entry_points().get(scheme)
    if found is None:
        raise _unknown(scheme)
    return _load(found)


def installed_backends() -> list[BackendInfo]:
    """Every backend that is installed, whether or not its driver is."""
    infos: list[BackendInfo] = []
    for scheme, entry in sorted(_entry_points().items()):
        distribution = entry.dist.name if entry.dist else "?"
        version = entry.dist.version if entry.dist else "?"
        try:
            declared = _load(entry).declared()
        except ConfigurationError as error:
            infos.append(BackendInfo(scheme, distribution, version, str(error), (), ()))
            continue
        supported = tuple(item.value for item in Capability if declared.has(item))
        lacking = [(item.value, declared[item]) for item in Capability]
        unsupported = tuple((name, said.reason) for name, said in lacking if isinstance(said, NotSupported))
        infos.append(BackendInfo(scheme, distribution, version, None, supported, unsupported))
    return infos


def _entry_points() -> dict[str, EntryPoint]:
    return _installed(entry_points)


# What is installed is looked up once: it costs as much as opening a store.
@cache
def _installed(read: Callable[..., Iterable[EntryPoint]]) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in read(group=GROUP)}


def _load(entry: EntryPoint) -> type[Backend]:
    manager = plugin_manager()
    try:
        manager.register(entry.load())
        found = manager.hook.iotstore_backend()
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"the backend for {entry.name}:// needs the module {error.name!r}, which is not installed",
            hint=f"run: {_pip(entry)}",
        ) from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise ConfigurationError(
            f"the plugin {entry.value} for {entry.name}:// offers no backend",
            hint="its module must implement the hook iotstore_backend()",
        )
    return found


def _pip(entry: EntryPoint) -> str:
    extra = _EXTRAS.get(entry.name)
    return (
        f"pip install 'iotstore[{extra}]'" if extra else f"pip install {entry.dist.name if entry.dist else entry.name}"
    )


def _unknown(scheme: str) -> BackendUnavailable:
    schemes = sorted(_entry_points())
    near = get_close_matches(scheme, schemes, n=1)
    if scheme in _EXTRAS:
        return BackendUnavailable(
            f"no backend for {scheme}:// is installed", hint=f"run: pip install 'iotstore[{_EXTRAS[scheme]}]'"
        )
    hint = f"did you mean {near[0]}://?" if near else f"installed are {', '.join(schemes) or 'none'}"
    return BackendUnavailable(f"no backend for {scheme}:// is installed", hint=hint)
