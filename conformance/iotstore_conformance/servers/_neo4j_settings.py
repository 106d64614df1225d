"""Versions and settings of every Neo4j server that the suite starts itself."""

from __future__ import annotations

from typing import Final, NamedTuple

VARIABLE: Final = "IOTSTORE_TEST_NEO4J"
#: Those with a 5 are the long-term version.
CHOICES: Final = ("local", "local-5", "container", "container-5")


class Release(NamedTuple):
    """One version of Neo4j Community: what it needs, and how it is started."""

    version: str
    java: int
    main: str
    #: Settings that only this one knows.
    settings: tuple[str, ...] = ()


NEWEST: Final = Release(
    "2026.08.1",
    21,
    "org.neo4j.server.Neo4jCommunity",
    # Without the second it looks for others on every network of the machine.
    ("dbms.fleet_manager.enabled=false", "server.fleet_discovery.enabled=false"),
)
LONG_TERM: Final = Release("5.26.30", 17, "org.neo4j.server.CommunityEntryPoint")

#: What Java has to be told, beside the memory.
OPENED: Final = (
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)
#: A server that lives for minutes gains nothing from the second compiler, which takes the time of its tests.
MEMORY: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
SETTINGS: Final = (
    "dbms.usage_report.enabled=false",
    "server.memory.pagecache.size=64m",
    "server.https.enabled=false",
    # Room that nobody will use, on the disk of a developer.
    "db.tx_log.preallocate=false",
    "db.tx_log.rotation.retention_policy=keep_none",
)
