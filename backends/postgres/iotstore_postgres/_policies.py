"""Policies of the Timescale edition: jobs of the server that compress chunks, or drop them.

They are jobs of ours, and not TimescaleDB's own. Its compression moves points such that a snapshot from before no
longer sees its own state of them, and its retention leaves latest values behind that have no point. Ours end with the
points locked for an instant, which no snapshot allows while it looks at them, and one transaction does all that belongs
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from iotstore.backend import ConfigurationError
from iotstore_postgres._latest import CLEAR, SET_BACK
from iotstore_postgres._scratch import Connection, ask

#: A policy that is not wanted any more.
NEVER: Final = timedelta.max
#: What a store is compressed after where nothing else is said.
COMPRESS_AFTER: Final = timedelta(days=30)
_LONGEST: Final = timedelta(days=365_000)
_EVERY: Final = "6 hours"
#: A job that found the points in use tries again.
_AGAIN: Final = "5 minutes"
#: Time to look at what was set up, before the first run.
_FIRST: Final = "5 minutes"
# Shorter than the server waits before it looks for a deadlock: then nobody else is ended in place of the job.
_SHORT_WAIT: Final = "500ms"
_END: Final = 2**63 - 1

_OURS: Final = "hypertable_schema = current_schema() AND hypertable_name = 'iotstore_points'"
# Where the procedure is, there the store is: it may have been restored under another name.
_HOME: Final = """
    GET DIAGNOSTICS routine = PG_ROUTINE_OID;
    SELECT pronamespace::pg_catalog.regnamespace::text INTO home FROM pg_catalog.pg_proc WHERE oid = routine;
    PERFORM pg_catalog.set_config('search_path', home, true);"""
# 1: compressed, 2 and 8: with points that came later, 4: frozen by somebody.
_COMPRESS: Final = f"""
DECLARE
    routine oid;
    home text;
    part pg_catalog.regclass;
    parts pg_catalog.regclass[];
BEGIN{_HOME}
    SELECT array_agg(found.part ORDER BY found.range_end_integer) INTO parts FROM (
        SELECT pg_catalog.format('%I.%I', chunk_schema, chunk_name)::pg_catalog.regclass AS part, range_end_integer
        FROM timescaledb_information.chunks
        WHERE {_OURS} AND range_end_integer <= iotstore_now() - (config->>'after')::bigint OFFSET 0
    ) AS found WHERE _timescaledb_functions.chunk_status(found.part) & 15 NOT IN (1, 4, 5);
    FOREACH part IN ARRAY coalesce(parts, '{{}}') LOOP
        PERFORM pg_catalog.set_config('search_path', home, true);
        PERFORM pg_catalog.set_config('client_min_messages', 'error', true);
        PERFORM pg_catalog.set_config('lock_timeout', '{_SHORT_WAIT}', true);
        PERFORM {{functions}}.compress_chunk(part);
        LOCK TABLE ONLY iotstore_points IN ACCESS EXCLUSIVE MODE;
        COMMIT;
    END LOOP;
END
"""  # noqa: S608 - constants
_RETAIN: Final = f"""
DECLARE
    routine oid;
    home text;
    until bigint;
    touched bigint[];
BEGIN{_HOME}
    PERFORM pg_catalog.set_config('lock_timeout', '{_SHORT_WAIT}', true);
    SELECT max(range_end_integer) INTO until FROM timescaledb_information.chunks
    WHERE {_OURS} AND range_end_integer <= iotstore_now() - (config->>'after')::bigint AND range_end_integer < {_END};
    IF until IS NULL THEN
        RETURN;
    END IF;
    LOCK TABLE ONLY iotstore_points IN ACCESS EXCLUSIVE MODE;
    PERFORM {{functions}}.drop_chunks('iotstore_points'::pg_catalog.regclass, older_than => until);
    SELECT array_agg(held.series) INTO touched FROM (
        SELECT series FROM iotstore_latest WHERE time < until ORDER BY series FOR UPDATE
    ) AS held;
    {SET_BACK.replace("$1", "touched").replace("$2", "until - 1")};
    {CLEAR.replace("$1", "touched").replace("$2", "until - 1")};
END
"""  # noqa: S608 - constants


class Policy(NamedTuple):
    """A job that does something to points that are old enough."""

    procedure: str
    body: str
    #: How it is told of, with the age.
    sentence: str
    #: How it is told that there is none any more.
    none: str


COMPRESSION: Final = Policy(
    "iotstore_compress",
    _COMPRESS,
    "chunks are compressed when all of their points are older than {}",
    "chunks are not compressed any more; those that are stay so",
)
RETENTION: Final = Policy(
    "iotstore_retain",
    _RETAIN,
    "chunks are dropped when all of their points are older than {}",
    "chunks are not dropped by the server any more",
)


class Job(NamedTuple):
    """A policy as the server has it."""

    number: int
    after: int
    scheduled: bool
    source: str


_JOB: Final = (
    "SELECT j.job_id, (j.config->>'after')::bigint, j.scheduled, p.prosrc FROM timescaledb_information.jobs AS j"
    " JOIN pg_catalog.pg_proc AS p ON p.proname = j.proc_name AND p.pronamespace = current_schema()::regnamespace"
    " WHERE j.proc_schema = current_schema() AND j.proc_name = $1 ORDER BY 1 LIMIT 1"
)

_REST: Final = (
    "SELECT format('SELECT job_id FROM %s.alter_job(%s, scheduled => false)',"  # noqa: S608 - constants
    " (SELECT quote_ident(n.nspname)"
    " FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
    " WHERE e.extname = 'timescaledb'), job_id) FROM timescaledb_information.jobs"
    f" WHERE proc_schema = $1::text AND proc_name IN ('{COMPRESSION.procedure}', '{RETENTION.procedure}')"
)


def checked(name: str, after: timedelta | None) -> None:
    """ConfigurationError for an age that makes no sense."""
    if after is not None and after != NEVER and not timedelta() < after <= _LONGEST:
        raise ConfigurationError(f"{name}: {after} is no age", hint="give it as 30d or 1y, or never")


def found(connection: Connection, policy: Policy) -> Job | None:
    """The job of a policy; None if there is none."""
    rows = ask(connection, _JOB, policy.procedure)
    return Job(*rows[0]) if rows else None


def statements(
    connection: Connection, functions: str, policy: Policy, after: timedelta | None, written: str
) -> Iterator[tuple[str, str | None]]:
    """What makes the policy as it is wanted (None: as it is), each with a sentence about it, or with none.

    *written* is the age as people write it.
    """
    job, body = found(connection, policy), policy.body.replace("{functions}", functions)
    if after == NEVER:
        if job is not None:
            yield f"SELECT {functions}.delete_job({job.number})", None
            yield f"DROP PROCEDURE {policy.procedure}", policy.none
        return
    if after is None and job is None:
        return
    if job is None or job.source != body:
        yield _procedure(policy, body), None
    age = job.after if job is not None and after is None else (after or timedelta()) // timedelta(microseconds=1)
    config = f"""'{{"after": {age}}}'"""
    sentence = policy.sentence.format(written) if after is not None else None
    if job is None:
        yield from _added(functions, policy, config, sentence)
    elif job.after != age or not job.scheduled:
        text = f"SELECT job_id FROM {functions}.alter_job({job.number}, config => {config}, scheduled => true)"  # noqa: S608 - a number and names of ours
        yield text, sentence


def _procedure(policy: Policy, body: str) -> str:
    head = f"CREATE OR REPLACE PROCEDURE {policy.procedure}(job_id integer, config jsonb) LANGUAGE plpgsql"
    return f"{head} AS $iotstore${body}$iotstore$"


def _added(functions: str, policy: Policy, config: str, sentence: str | None) -> Iterator[tuple[str, str | None]]:
    # It belongs to the hypertable, and goes with it.
    yield (
        (
            "SELECT _timescaledb_functions.alter_job_set_hypertable_id("  # noqa: S608 - names of ours
            "j.job_id, 'iotstore_points'::regclass), a.job_id"
            f" FROM {functions}.add_job('{policy.procedure}', '{_EVERY}', config => {config},"
            f" initial_start => pg_catalog.now() + '{_FIRST}', fixed_schedule => false) AS j(job_id)"
            f" CROSS JOIN LATERAL {functions}.alter_job(j.job_id, retry_period => '{_AGAIN}', max_retries => -1) AS a"
        ),
        sentence,
    )


def rest(connection: Connection, schema: str) -> None:
    """Let the policies of a schema do nothing any more, until the store in it is set up again."""
    for (text,) in ask(connection, _REST, schema):
        ask(connection, text)
