"""Store URLs: their parts, and that no secret in them is ever shown."""

from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from iotstore._config import settings_for
from iotstore._urls import Url, is_secret, parse_url, redact
from iotstore.errors import ConfigurationError

SECRET = "hunter2§ecret"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sqlite:///home.db", Url("sqlite", None, None, (), "/home.db", {})),
        ("sqlite:////var/home.db", Url("sqlite", None, None, (), "//var/home.db", {})),
        ("sqlite://:memory:", Url("sqlite", None, None, ((":memory:", None),), "", {})),
        ("SQLite:///a%20b.db?durability=full", Url("sqlite", None, None, (), "/a b.db", {"durability": "full"})),
        ("postgresql://me@db/home", Url("postgresql", "me", None, (("db", None),), "/home", {})),
        ("postgresql://me:p%40ss@db:5432/home", Url("postgresql", "me", "p@ss", (("db", 5432),), "/home", {})),
        ("postgresql://me:a@b:c@db/home", Url("postgresql", "me", "a@b:c", (("db", None),), "/home", {})),
        (
            "postgresql://a:1,b,[::1]:3/x",
            Url("postgresql", None, None, (("a", 1), ("b", None), ("[::1]", 3)), "/x", {}),
        ),
        ("neo4j+s://host", Url("neo4j+s", None, None, (("host", None),), "", {})),
        ("postgresql://:pw@db/home", Url("postgresql", None, "pw", (("db", None),), "/home", {})),
    ],
)
def test_a_url_has_these_parts(text: str, parts: Url) -> None:
    parsed = parse_url(text)

    assert (parsed.scheme, parsed.user or None, parsed.password, parsed.hosts, parsed.path, dict(parsed.options)) == (
        parts.scheme, parts.user, parts.password, parts.hosts, parts.path, dict(parts.options),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///home.db", "home.db"),
        ("sqlite:////var/home.db", "/var/home.db"),
        ("sqlite:///data/home.db", "data/home.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite:///a%3Fb%23c.db", "a?b#c.db"),
    ],
)
def test_three_slashes_are_a_relative_path_and_four_an_absolute_one(text: str, path: str) -> None:
    assert settings_for(parse_url(text), {}, create=True).path == path


@pytest.mark.parametrize(
    "text",
    ["", "home.db", "sqlite:/home.db", "://x", "a b://x", "pg_1://x", "postgresql://db:port/x", "sqlite:///x?nonsense"],
)
def test_what_is_no_store_url_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a store URL"):
        parse_url(text)


def test_an_option_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'durability' comes twice"):
        parse_url("sqlite:///x?durability=full&durability=normal")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://me:{SECRET}@db/x", "postgresql://me:***@db/x"),
        (f"postgresql://:{SECRET}@db/x", "postgresql://:***@db/x"),
        (f"sqlite:///x?password={SECRET}&a=1", "sqlite:///x?password=***&a=1"),
        (f"sqlite:///x?API_TOKEN={SECRET}", "sqlite:///x?API_TOKEN=***"),
        ("postgresql://a,b:5/x", "postgresql://a,b:5/x"),
        ("sqlite:////var/home.db", "sqlite:////var/home.db"),
        ("sqlite://:memory:", "sqlite://:memory:"),
    ],
)
def test_a_url_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert parse_url(text).display == shown


@pytest.mark.parametrize(
    "name", ["password", "PASSWORD", "db_password", "token", "apiToken", "secret", "sslkey", "passphrase"]
)
def test_an_option_that_sounds_like_a_secret_is_one(name: str) -> None:
    assert is_secret(name)


# Whatever somebody writes, the secret is not told -----------------------------------------------------------------

secrets = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6, max_size=12).filter(
    lambda text: text.strip() == text and not set(text) <= set("postgresql:/@?&=#[].,%0123456789")
)
frames = st.sampled_from(
    [
        "postgresql://me:{}@db:5432/home",
        "postgresql://me@db/home?password={}",
        "postgresql://me:{}@db:port/home",
        "postgresql://me:{}@db/home?option",
        "postgresql://me:{}@db,other:x/home?password={}",
        "postgresql://me:{}@[::1]x/home",
        "po st://me:{}@db",
        "me:{}@db",
        "://me:{}@db",
        "sqlite:///x?token={}",
        "sqlite:///x?token={}&broken",
    ]
)


@given(frames, secrets, st.booleans())
@example("postgresql://me:{}@db:port/home", "geheim/wort", False)
@example("postgresql://me:{}@db:port/home", "geheim?wort", False)
@example("postgresql://me:{}@db:port/home", "geheim@wort", False)
@example("postgresql://me:{}@db/home?option", "geheim#wort", False)
@example("postgresql://me:{}@db:5432/home", "50%geheim", True)
def test_no_secret_is_in_any_error_or_shown_text(frame: str, secret: str, quoted: bool) -> None:
    """Unquoted ones too: who forgets to quote a password must not find it in a log."""
    assume(secret not in frame)
    text = frame.replace("{}", quote(secret, safe="") if quoted else secret)

    told = told_about(text)

    assert secret not in told
    assert quote(secret, safe="") not in told


def told_about(text: str) -> str:
    """Everything that a person may get to see about a URL."""
    told = redact(text)
    try:
        parsed = parse_url(text)
    except ConfigurationError as error:
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            causes += [str(cause), repr(cause)]
            cause = cause.__cause__ or cause.__context__
        return "\n".join([told, *causes])
    return "\n".join([told, parsed.display, repr(parsed), str(parsed), repr(settings_for(parsed, {}, create=True))])
