"""Named settings of an application: any JSON value under a name."""

from __future__ import annotations

from typing import Any

from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._kinds.system import SETTINGS, Setting


class Settings:
    """Named settings of the application."""

    def __init__(self, engine: Engine) -> None:
        self._records = Collection(engine, SETTINGS)

    def get(self, name: str, default: Any = None) -> Any:
        """The value under *name*, or *default*."""
        found = self._records.find(name)
        return default if found is None else found.value

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value under *name*."""
        self._records.put(Setting(name=name, value=value))

    def delete(self, name: str) -> None:
        """Forget a setting; NotFound if there is none."""
        self._records.delete(name)

    def all(self) -> dict[str, Any]:
        """Every setting, by name."""
        return {item.name: item.value for item in self._records.list()}
