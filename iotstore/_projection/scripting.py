"""A projection as a script in its engine's own language: written to a file, and made from one."""

from __future__ import annotations

from pathlib import Path

from iotstore._projection.target import Target
from iotstore._waist.contract import Script, Scripts
from iotstore.errors import NotAllowed


def write(target: Target, path: Path) -> Script:
    """Write what the projection holds to a new file; it gets its name when it is whole."""
    backend = target.engine.backend
    if not isinstance(backend, Scripts):
        raise NotAllowed(
            f"{backend.name} writes no script of what it holds",
            hint="all of it is in the primary as well: iotstore backup create --format portable",
        )
    if path.exists():
        raise NotAllowed(f"{path} exists already", hint="give another name")
    begun = path.with_name(path.name + ".part")
    try:
        with begun.open("w", encoding="ascii") as out:
            script = backend.write_script(out)
        begun.rename(path)
    except OSError as error:
        raise NotAllowed(f"{path} can't be written: {error.strerror}") from error
    finally:
        begun.unlink(missing_ok=True)
    return script


def take(target: Target, path: Path) -> Script:
    """Make the projection from a script, in an empty place."""
    backend, settings = target.where
    if not issubclass(backend, Scripts):
        raise NotAllowed(
            f"{backend.name} can't be made from a script", hint="make the projection anew: iotstore graph rebuild"
        )
    try:
        return backend.take_script(settings, path)
    except OSError as error:
        raise NotAllowed(f"{path} can't be read: {error.strerror}") from error
