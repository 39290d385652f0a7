"""The engine's own preflight checks; each reads the catalog once and returns what it found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from migration_ops import conf, guards
from migration_ops.definition import AnyMigration, PreflightCheck, Status
from migration_ops.schema import unique_keys
from migration_ops.sentence import joined, said

OLDEST_SERVER, NEWEST_SERVER = 14, 18
LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")

OK, WARN, FAIL = Status.OK, Status.WARN, Status.FAIL


def server_version(migration: AnyMigration) -> PreflightCheck:
    version = _value("SELECT current_setting('server_version_num')::int / 10000")
    if version < OLDEST_SERVER:
        message = said("PostgreSQL %(version)s is too old.", version=str(version))
        return PreflightCheck("server_version", FAIL, message, f"Use {OLDEST_SERVER} to {NEWEST_SERVER}.")
    if version > NEWEST_SERVER:
        hint = f"Tried with {OLDEST_SERVER} to {NEWEST_SERVER}; rehearse on a copy first."
        return PreflightCheck("server_version", WARN, f"PostgreSQL {version} is newer than what was tried.", hint)
    return PreflightCheck("server_version", OK, f"PostgreSQL {version}.")


def role(migration: AnyMigration) -> PreflightCheck:
    name, superuser, bypasses = _row(
        "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    )
    if superuser or bypasses:
        powers = "a superuser" if superuser else "allowed to bypass row security"
        hint = "Let the app use a role that owns its tables and nothing more."
        return PreflightCheck("role", WARN, f"The role {name} is {powers}.", hint)
    return PreflightCheck("role", OK, f"The role {name} has no more rights than it needs.")


def migrations_applied(migration: AnyMigration) -> PreflightCheck:
    loader = MigrationLoader(connection)
    missing = sorted(".".join(step) for step in set(loader.graph.nodes) - set(loader.applied_migrations))
    if missing:
        message = said("Not applied: %(names)s.", names=", ".join(missing[:5]))
        if len(missing) > 5:
            message = said(
                "Not applied: %(names)s and %(more)s more.", names=", ".join(missing[:5]), more=str(len(missing) - 5)
            )
        return PreflightCheck("migrations_applied", FAIL, message, "Run `manage.py migrate`.")
    return PreflightCheck("migrations_applied", OK, "All migrations are applied.")


def guards_in_place(migration: AnyMigration) -> PreflightCheck:
    stale = guards.out_of_step()
    if stale:
        hint = "Run `manage.py migrate`, which puts them back, and `manage.py verify_history`."
        message = said("Missing, switched off or of another version: %(names)s.", names=", ".join(stale))
        return PreflightCheck("guards_in_place", FAIL, message, hint)
    return PreflightCheck("guards_in_place", OK, "The database refuses illegal stages and changes of the history.")


def legacy_tables(migration: AnyMigration) -> PreflightCheck:
    tables = _legacy(migration)
    if not tables:
        return PreflightCheck("legacy_tables", OK, "The legacy store is no table; it is polled for changes.")
    return _existing("legacy_tables", tables, "Check DATABASE_URL; `manage.py seed_legacy` makes one for a trial.")


def modern_tables(migration: AnyMigration) -> PreflightCheck:
    return _existing("modern_tables", migration.modern_tables, "Run `manage.py migrate`.")


def _existing(check_id: str, tables: Sequence[str], hint: str) -> PreflightCheck:
    missing = _column("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", list(tables))
    if missing:
        return PreflightCheck(check_id, FAIL, said("There is no table %(names)s.", names=", ".join(missing)), hint)
    return PreflightCheck(check_id, OK, f"There: {', '.join(tables)}.")


def ownership(migration: AnyMigration) -> PreflightCheck:
    """Triggers, constraints and `ENABLE ALWAYS` are the owner's to make."""
    foreign = _rows(
        "SELECT relname::text, pg_get_userbyid(relowner)::text FROM pg_class"
        " WHERE oid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"
        " AND NOT pg_has_role(relowner, 'USAGE')",
        _tables(migration),
    )
    if foreign:
        hint = "Make this role a member of the owner: GRANT owner TO role."
        owned = (said("%(table)s (owned by %(owner)s)", table=table, owner=owner) for table, owner in foreign)
        message = said("Triggers cannot be made on %(tables)s.", tables=joined(owned, by=", "))
        return PreflightCheck("ownership", FAIL, message, hint)
    return PreflightCheck("ownership", OK, "Triggers and constraints can be made on all tables.")


def indexes(migration: AnyMigration) -> PreflightCheck:
    invalid = _column(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisvalid AND indisready)"
        " AND indrelid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name) ORDER BY 1",
        _tables(migration),
    )
    if invalid:
        hint = "Left by a CREATE INDEX CONCURRENTLY that failed: DROP INDEX CONCURRENTLY, then create it again."
        return PreflightCheck("indexes", FAIL, said("Not valid: %(names)s.", names=", ".join(invalid)), hint)
    if missing := unique_keys.missing(migration):
        hint = "Somebody dropped them: remove what stands there twice, then add them again as the migrations do."
        message = said("Unique keys that are not in force: %(names)s.", names=", ".join(missing))
        return PreflightCheck("indexes", FAIL, message, hint)
    return PreflightCheck("indexes", OK, "Every index is valid.")


def autovacuum(migration: AnyMigration) -> PreflightCheck:
    hint = "Switch it on: the backfill fills tables faster than a person vacuums them."
    if _value("SELECT current_setting('autovacuum') <> 'on' OR current_setting('track_counts') <> 'on'"):
        return PreflightCheck("autovacuum", FAIL, said("Autovacuum is off for this server."), hint)
    without = _column(
        "SELECT relname::text FROM pg_class"
        " WHERE oid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"
        " AND EXISTS (SELECT FROM pg_options_to_table(reloptions)"
        "              WHERE option_name = 'autovacuum_enabled' AND NOT option_value::boolean)",
        _tables(migration),
    )
    if without:
        return PreflightCheck("autovacuum", WARN, f"Autovacuum is off for {', '.join(without)}.", hint)
    return PreflightCheck("autovacuum", OK, "Autovacuum is on.")


def triggers_fire(migration: AnyMigration) -> PreflightCheck:
    mode = _value("SELECT current_setting('session_replication_role')")
    if mode != "origin":
        hint = "Sessions of the app must run with origin: ALTER ROLE … RESET session_replication_role."
        message = said("session_replication_role is %(mode)s for this role.", mode=mode)
        return PreflightCheck("triggers_fire", FAIL, message, hint)
    return PreflightCheck("triggers_fire", OK, "Triggers fire for this role.")


def subscriptions(migration: AnyMigration) -> PreflightCheck:
    """Apply workers of logical replication fire no triggers for statements, so capture would miss what they write."""
    written = _column(
        "WITH RECURSIVE family (id) AS ("
        " SELECT to_regclass(name)::oid FROM unnest(%s::text[]) AS name"
        " UNION SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = family.id)"
        " SELECT DISTINCT srrelid::regclass::text FROM pg_subscription_rel"
        " JOIN family ON srrelid = family.id ORDER BY 1",
        [*_legacy(migration), *(captured.table for captured in migration.modern().captured_tables)],
    )
    if written:
        hint = "Capture cannot follow replication: take them out of the subscription, or migrate on the publisher."
        message = said("A subscription writes to %(names)s.", names=", ".join(written))
        return PreflightCheck("subscriptions", FAIL, message, hint)
    return PreflightCheck("subscriptions", OK, "No subscription writes to the tables that are captured.")


def row_security(migration: AnyMigration) -> PreflightCheck:
    """A verifier that row security filters would compare nothing with nothing."""
    filtered = _column(
        "SELECT relname::text FROM pg_class"
        " WHERE oid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name) AND row_security_active(oid)",
        _tables(migration),
    )
    if filtered:
        hint = "Let the engine use the owner of the tables, or a role that row security lets see everything."
        message = said("This role sees only some rows of %(names)s.", names=", ".join(filtered))
        return PreflightCheck("row_security", FAIL, message, hint)
    return PreflightCheck("row_security", OK, "This role sees every row.")


def blocked_locks(migration: AnyMigration) -> PreflightCheck:
    waiting = _column(
        "SELECT DISTINCT format('pid %%s waits for pid %%s', pid, array_to_string(pg_blocking_pids(pid), ', '))"
        " FROM pg_locks WHERE NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 5"
    )
    if waiting:
        hint = "Steps that lock tables will wait as well; look what these sessions do."
        return PreflightCheck("blocked_locks", WARN, f"Sessions wait for locks: {'; '.join(waiting)}.", hint)
    return PreflightCheck("blocked_locks", OK, "Nobody waits for a lock.")


def idle_transactions(migration: AnyMigration) -> PreflightCheck:
    limit = conf.settings().preflight_idle_transaction
    idle = _column(
        "SELECT format('pid %%s (%%s) since %%s', pid, coalesce(nullif(application_name, ''), usename),"
        " to_char(state_change, 'YYYY-MM-DD HH24:MI:SS')) FROM pg_stat_activity"
        " WHERE datname = current_database() AND state LIKE 'idle in transaction%%'"
        " AND state_change < clock_timestamp() - %s ORDER BY state_change LIMIT 5",
        limit,
    )
    if idle:
        hint = "They hold locks and keep vacuum from cleaning; end them, or set idle_in_transaction_session_timeout."
        return PreflightCheck("idle_transactions", WARN, f"Idle in a transaction: {'; '.join(idle)}.", hint)
    return PreflightCheck("idle_transactions", OK, f"No transaction has been idle for longer than {limit}.")


def disk_space(migration: AnyMigration) -> PreflightCheck:
    """Room for a copy of the data; visible only on the database's own machine, to a role that may know where it is."""
    host = str(connection.settings_dict.get("HOST") or "")
    directory = _value(
        "SELECT CASE WHEN pg_has_role('pg_read_all_settings', 'MEMBER') THEN current_setting('data_directory') END"
    )
    if not (host in LOCAL_HOSTS or host.startswith("/")) or not directory or not os.path.isdir(directory):
        return PreflightCheck("disk_space", OK, "The database's disk cannot be seen from here; look there yourself.")
    sizes = "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0) FROM unnest(%s::text[]) AS name"
    wanted = max(conf.settings().preflight_free_space, 4 * int(_value(sizes, list(_legacy(migration)))))
    free = shutil.disk_usage(directory).free
    message = f"{free / 1e9:.1f} GB free on the database's disk; {wanted / 1e9:.1f} GB should be."
    if free < wanted:
        return PreflightCheck(
            "disk_space", WARN, message, "Make room: a full disk stops writers, not only the backfill."
        )
    return PreflightCheck("disk_space", OK, message)


CHECKS: tuple[Callable[[AnyMigration], PreflightCheck], ...] = (
    server_version,
    role,
    migrations_applied,
    guards_in_place,
    legacy_tables,
    modern_tables,
    ownership,
    indexes,
    autovacuum,
    triggers_fire,
    subscriptions,
    row_security,
    blocked_locks,
    idle_transactions,
    disk_space,
)


def _legacy(migration: AnyMigration) -> tuple[str, ...]:
    return tuple(captured.table for captured in migration.legacy().captured_tables)


def _tables(migration: AnyMigration) -> list[str]:
    return [*_legacy(migration), *migration.modern_tables]


def _row(query: str, *parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def _value(query: str, *parameters: Any) -> Any:
    return _row(query, *parameters)[0]


def _column(query: str, *parameters: Any) -> list[Any]:
    return [row[0] for row in _rows(query, *parameters)]


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
