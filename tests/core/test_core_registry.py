"""The registry: backends are found by entry point, loaded only when asked for, and what is missing is named."""

import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import iotstore
from iotstore import _registry, hookimpl
from iotstore._kinds.kind import Kind, Record
from iotstore.errors import BackendUnavailable, ConfigurationError


class Plant(Record, frozen=True, kw_only=True):
    key: str


PLANTS = Kind(Plant, "plant", "key")


class FakeDistribution:
    """As much of a distribution as an entry point tells of."""

    name = "iotstore-duck"
    version = "1.2.3"


def entry(scheme: str, value: str) -> EntryPoint:
    made = EntryPoint(scheme, value, _registry.GROUP)
    vars(made).update(dist=FakeDistribution())
    return made


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    """Only the entry points that a test puts in here are installed."""
    entries: dict[str, EntryPoint] = {}

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [one for one in entries.values() if one.group == group]

    monkeypatch.setattr(_registry, "entry_points", entry_points)
    return entries


def module(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    made = types.ModuleType(name)
    vars(made).update(content)
    monkeypatch.setitem(sys.modules, name, made)


def test_only_the_backend_whose_scheme_is_asked_for_is_imported(
    installed: dict[str, EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb_backend.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    installed["bomb"] = entry("bomb", "bomb_backend")
    installed["sqlite"] = entry("sqlite", "iotstore_sqlite")

    assert _registry.backend_class("sqlite").name == "sqlite"


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        ("sqlit", r"no backend for sqlit:// is installed; did you mean sqlite://\?"),
        ("oracle", "no backend for oracle:// is installed; installed are sqlite"),
        ("postgresql", r"no backend for postgresql:// is installed; run: pip install 'iotstore\[postgres\]'"),
        ("neo4j", r"run: pip install 'iotstore\[neo4j\]'"),
        ("bolt", r"run: pip install 'iotstore\[neo4j\]'"),
    ],
)
def test_an_unknown_scheme_is_refused_with_what_to_do(
    installed: dict[str, EntryPoint], scheme: str, problem: str
) -> None:
    installed["sqlite"] = entry("sqlite", "iotstore_sqlite")

    with pytest.raises(BackendUnavailable, match=problem):
        _registry.backend_class(scheme)


def test_without_any_backend_that_is_what_the_error_says(installed: dict[str, EntryPoint]) -> None:
    assert not installed
    with pytest.raises(BackendUnavailable, match="installed are none"):
        _registry.backend_class("sqlite")


@pytest.mark.parametrize(
    ("scheme", "command"),
    [("postgresql", r"pip install 'iotstore\[postgres\]'"), ("duck", "pip install iotstore-duck")],
)
def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    installed: dict[str, EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, command: str
) -> None:
    (tmp_path / f"needy_{scheme}.py").write_text("import a_driver_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    installed[scheme] = entry(scheme, f"needy_{scheme}")

    with pytest.raises(
        BackendUnavailable, match=rf"needs the module 'a_driver_that_is_not_there', .*; run: {command}"
    ) as caught:
        _registry.backend_class(scheme)

    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_driver_that_is_missed_only_in_the_hook_is_named_too(
    installed: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    @hookimpl
    def iotstore_backend() -> object:
        raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")

    module(monkeypatch, "late_backend", iotstore_backend=iotstore_backend)
    installed["duck"] = entry("duck", "late_backend")

    with pytest.raises(BackendUnavailable, match="needs the module 'duckdb'"):
        _registry.backend_class("duck")


@pytest.mark.parametrize("answer", [None, object(), int])
def test_a_plugin_that_offers_no_backend_is_refused(
    installed: dict[str, EntryPoint], monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    module(monkeypatch, "hollow_backend", iotstore_backend=hookimpl(lambda: answer))
    installed["hollow"] = entry("hollow", "hollow_backend")

    with pytest.raises(
        ConfigurationError, match=r"the plugin hollow_backend for hollow:// offers no backend; its module"
    ):
        _registry.backend_class("hollow")


def test_the_list_of_backends_tells_what_each_can_do_and_why_one_can_not_be_loaded(
    installed: dict[str, EntryPoint],
) -> None:
    installed["sqlite"] = entry("sqlite", "iotstore_sqlite")
    installed["broken"] = entry("broken", "a_module_that_is_not_there")

    broken, sqlite = iotstore.backends()

    assert (sqlite.scheme, sqlite.distribution, sqlite.version, sqlite.problem) == (
        "sqlite",
        "iotstore-duck",
        "1.2.3",
        None,
    )
    assert "snapshots" in sqlite.supported
    assert all(reason for _, reason in sqlite.unsupported)
    assert "needs the module 'a_module_that_is_not_there'" in str(broken.problem)
    assert broken.supported == ()


# Kinds are offered by name ----------------------------------------------------------------------------------------


class Offers:
    """A plugin that offers one kind."""

    @hookimpl
    def iotstore_kinds(self) -> list[Kind[Plant]]:
        return [PLANTS]


def test_an_offered_kind_is_part_of_a_store_only_when_it_is_named(tmp_path: Path) -> None:
    with iotstore.open(f"sqlite:///{tmp_path}/a.db", plugins=[Offers()]) as store:
        assert "plant" not in store.kinds
    with iotstore.open(f"sqlite:///{tmp_path}/b.db", plugins=[Offers()], kinds=["plant"]) as store:
        assert store.kinds["plant"] is PLANTS


def test_a_kind_that_nobody_offers_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no plugin offers a kind called 'plnt'; offered are plant"):
        iotstore.open(f"sqlite:///{tmp_path}/a.db", plugins=[Offers()], kinds=["plnt"])

    assert list(tmp_path.iterdir()) == []


def test_a_store_refuses_another_kind_of_the_same_name(tmp_path: Path) -> None:
    other = Kind(Plant, "plant", "key")

    with iotstore.open(f"sqlite:///{tmp_path}/a.db", kinds=[PLANTS]) as store:
        assert store.records("plant").kind is PLANTS
        with pytest.raises(ConfigurationError, match="this store was opened with another kind called 'plant'"):
            store.records(other)
