"""PostgreSQL in containers, through testcontainers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from iotstore_conformance.servers._asking import version, wait_until_ready
from iotstore_conformance.servers._leftovers import LABEL
from iotstore_conformance.servers._own_container import OwnContainer, bind, inside, run_anywhere
from iotstore_conformance.servers._own_container import address as address_of
from iotstore_conformance.servers._settings import SETTINGS, as_arguments

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

USER: Final = "iotstore"
_PORT: Final = 5432
# What is started where images can be pulled; elsewhere the variable names an image that was built there.
_IMAGES: Final = {
    "container": ("IOTSTORE_TEST_IMAGE_POSTGRES", "postgres:17"),
    "timescale": ("IOTSTORE_TEST_IMAGE_TIMESCALE", "timescale/timescaledb:latest-pg17-oss"),
}
VARIABLES: Final = tuple(variable for variable, _ in _IMAGES.values())


def image(choice: str) -> str:
    """The image of the server that is called *choice*."""
    variable, official = _IMAGES[choice]
    return os.environ.get(variable) or official


class ContainerPostgres(OwnContainer["PostgresContainer"]):
    """A PostgreSQL server of this process in a container, reached over a port that stays its own."""

    def __init__(self, image: str) -> None:
        super().__init__(image, _PORT, lambda label, password: run(image, label, password), VARIABLES)

    @property
    def url(self) -> str:
        """Its own database, with the password of the superuser."""
        found = self.container
        return f"postgresql://{found.username}:{found.password}@{self.address}/{found.dbname}"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def _wait_until_ready(self, why_not: Callable[[], str | None]) -> None:
        wait_until_ready(self.url, why_not)


def address(container: PostgresContainer) -> str:
    """Where the server of a container is reached."""
    with inside(container):
        return address_of(container, _PORT)


def run(
    image: str, label: str, password: str, *, settings: Mapping[str, str] | None = None, **options: Any
) -> PostgresContainer:
    """Start a container with a server that answers. *options* are Docker's own."""
    from testcontainers.community.postgres import PostgresContainer

    command = ["postgres", *as_arguments({**SETTINGS, **(settings or {})})]

    def make() -> PostgresContainer:
        made = PostgresContainer(image, username=USER, password=password, dbname=USER, driver=None, command=command)
        bind(made, _PORT)
        return made.with_kwargs(labels={LABEL: label}, **options)

    return run_anywhere(make)
