"""The two doors, `iotstore` for applications and `iotstore.backend` for backends, stay complete and documented."""

import ast
import importlib
import inspect
import types
import typing

import pytest

import iotstore
import iotstore.backend
from iotstore import errors

DOORS = [iotstore, iotstore.backend]
ids = [door.__name__ for door in DOORS]


# What the doors' modules themselves need; `from iotstore import *` goes by `__all__`.
NO_NAMES = {"annotations", "TYPE_CHECKING"}


def public_names(door: types.ModuleType) -> set[str]:
    """Return the names of *door*'s namespace that are neither private nor modules, loaded or not."""
    loaded = {
        name
        for name, value in vars(door).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name not in NO_NAMES
    }
    return loaded | set(vars(door).get("_HOME", {}))


def typed_names(door: types.ModuleType) -> dict[str, str]:
    """Read where type checkers find each name of *door*: the imports under TYPE_CHECKING, as ``module:name``."""
    tree = ast.parse(inspect.getsource(door))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def public_classes() -> list[type]:
    """List every class that one of the doors offers."""
    offered = {getattr(door, name) for door in DOORS for name in door.__all__ if inspect.isclass(getattr(door, name))}
    ours = {cls for cls in offered if cls.__module__.startswith("iotstore")}
    return sorted(ours, key=lambda item: f"{item.__module__}.{item.__qualname__}")


def error_classes() -> list[type[BaseException]]:
    """List the public error classes that `iotstore.errors` defines."""
    return [
        value
        for name, value in sorted(vars(errors).items())
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == errors.__name__
        if not name.startswith("_")
    ]


def place(name: str) -> tuple[int, str]:
    """Return where *name* stands in `__all__`: constants, classes, functions, as ruff sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_all_is_sorted_and_without_repetition(door: types.ModuleType) -> None:
    assert list(door.__all__) == sorted(set(door.__all__), key=place)


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_all_is_exactly_what_the_namespace_offers(door: types.ModuleType) -> None:
    assert set(door.__all__) == public_names(door)


def test_the_table_of_homes_the_type_checkers_imports_and_all_agree() -> None:
    assert dict(iotstore._HOME) == typed_names(iotstore)
    assert sorted(iotstore._HOME) == sorted(iotstore.__all__)


@pytest.mark.parametrize("name", sorted(iotstore.__all__))
def test_each_name_resolves_to_what_lives_in_its_home(name: str) -> None:
    module, _, attribute = iotstore._HOME[name].partition(":")

    assert getattr(iotstore, name) is getattr(importlib.import_module(module), attribute)
    assert name in dir(iotstore)


def test_a_name_that_is_not_there_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'iotstore' has no attribute 'Devise'"):
        getattr(iotstore, "Devise")  # noqa: B009 - a type checker would refuse the plain form


def test_a_star_import_brings_every_name() -> None:
    brought: dict[str, object] = {}
    exec("from iotstore import *", brought)

    assert set(iotstore.__all__) <= set(brought)


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_every_class_and_function_behind_a_door_has_a_docstring(door: types.ModuleType) -> None:
    offered = {name: getattr(door, name) for name in door.__all__}
    documented = {name: value for name, value in offered.items() if inspect.isclass(value) or inspect.isroutine(value)}
    assert documented

    generated = {name for name, value in documented.items() if (value.__doc__ or "").startswith(f"{name}(")}
    silent = {name for name, value in documented.items() if not (value.__doc__ or "").strip()}

    assert sorted(generated | silent) == []


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_every_public_method_behind_a_door_has_a_docstring(door: types.ModuleType) -> None:
    """A method's docstring may stand where the method was first promised."""
    silent = [
        f"{name}.{method}"
        for name in door.__all__
        if inspect.isclass(cls := getattr(door, name)) and cls.__module__.startswith("iotstore")
        for method, function in vars(cls).items()
        if not method.startswith("_") and inspect.isfunction(function)
        if not (inspect.getdoc(getattr(cls, method)) or "").strip()
    ]

    assert silent == []


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_annotations_of_public_classes_are_real_at_run_time(cls: type) -> None:
    hints = typing.get_type_hints(cls)

    assert set(hints) >= set(vars(cls).get("__annotations__", {}))
    for name, function in vars(cls).items():
        if inspect.isfunction(function) and not name.startswith("_"):
            assert "return" in typing.get_type_hints(function), f"{cls.__name__}.{name}"


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_public_functions_are_annotated_completely(door: types.ModuleType) -> None:
    for name in door.__all__:
        function = getattr(door, name)
        if inspect.isfunction(function):
            expected = {*inspect.signature(function).parameters, "return"}
            assert set(typing.get_type_hints(function)) >= expected - {"self", "cls"}, name


def test_every_error_is_behind_the_front_door() -> None:
    classes = error_classes()
    assert len(classes) > 5

    assert [cls.__name__ for cls in classes if getattr(iotstore, cls.__name__, None) is not cls] == []


def test_every_error_stands_in_one_tree() -> None:
    assert [cls.__name__ for cls in error_classes() if not issubclass(cls, errors.StoreError)] == []


def test_the_tree_drawn_in_the_errors_module_is_the_tree() -> None:
    """Each class stands below its base class, further in: the drawing is read by its indentation."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if line.strip()]
    names = {cls.__name__ for cls in error_classes()}
    drawn: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in lines:
        word = line.strip(" │├└─|+-`*").split()[:1]
        if not word or word[0].rstrip(":.,") not in names:
            continue
        name = word[0].rstrip(":.,")
        depth = line.index(name)
        above = [(column, parent) for column, parent in above if column < depth]
        drawn[name] = above[-1][1] if above else None
        above.append((depth, name))

    real = {cls.__name__: base if (base := cls.__bases__[0].__name__) in names else None for cls in error_classes()}
    assert drawn == real


def test_the_doors_are_modules_of_their_own_name() -> None:
    assert [importlib.import_module(door.__name__) for door in DOORS] == DOORS
