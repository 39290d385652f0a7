"""The test database as it was before a transactional test: as Django's own flush leaves it, in a tenth of its time.

Django empties every table and makes all permissions and groups anew after each such test. Most tests fill a handful of
tables and touch none that was filled from the beginning, no trigger and no function; then those few are emptied, and
nothing has to be made anew. After the others Django does what it always does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import connection, transaction
from django.test import TransactionTestCase

_REFERENCES = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"


_MACHINERY = """
SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
    SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled, tgfoid::regproc) AS part
      FROM pg_trigger WHERE NOT tgisinternal
     UNION ALL
    SELECT concat_ws(' ', proname, prosecdef, proconfig, prosrc)
      FROM pg_proc WHERE pronamespace = current_schema::regnamespace) AS parts
"""
"""A fingerprint of all triggers and functions."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The database when a test begins.

    Attributes:
        filled: what the tables say that are not empty then, by name.
        empty: the other tables.
        machinery: the fingerprint of triggers and functions.
        referrers: by table, those that refer to it.
    """

    filled: Mapping[str, str]
    empty: Collection[str]
    machinery: str
    referrers: Mapping[str, Collection[str]]

    @classmethod
    def now(cls) -> Beginning:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        with connection.cursor() as cursor:
            cursor.execute(_filled(tables))
            filled = {name for (name,) in cursor.fetchall()}
            cursor.execute(_contents(filled))
            contents = dict(cursor.fetchall())
            cursor.execute(_MACHINERY)
            ((machinery,),) = cursor.fetchall()
            cursor.execute(_REFERENCES)
            referrers: dict[str, set[str]] = {}
            for one, other in cursor.fetchall():
                referrers.setdefault(other, set()).add(one)
        return cls(contents, set(tables) - filled, machinery, referrers)

    def restored(self) -> bool:
        """Empty what is not empty any more; whether that was enough. If it was not, nothing was done."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_contents(self.filled))
            if dict(cursor.fetchall()) != self.filled:
                return False
            cursor.execute(_MACHINERY)
            if cursor.fetchall() != [(self.machinery,)]:
                return False
            cursor.execute(_filled(self.empty))
            tables = self._with_referrers({name for (name,) in cursor.fetchall()})
            if tables & self.filled.keys():
                return False
            if tables:
                cursor.execute(f"TRUNCATE {', '.join(sorted(tables))}")
        return True

    def _with_referrers(self, tables: set[str]) -> set[str]:
        found: set[str] = set()
        while tables:
            found |= tables
            tables = {each for name in tables for each in self.referrers.get(name, ())} - found
        return found


def _filled(tables: Collection[str]) -> str:
    """Asks which of these have a row."""
    return " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in sorted(tables))


def _contents(tables: Collection[str]) -> str:
    """Asks for a fingerprint of all that each of these says."""
    return " UNION ALL ".join(
        f"SELECT '{name}', md5(string_agg(each::text, E'\\n' ORDER BY each::text)) FROM {name} AS each"
        for name in sorted(tables)
    )


class Emptying:
    """Takes the place of the flush after each transactional test."""

    def __init__(self) -> None:
        self._flush = TransactionTestCase._fixture_teardown
        self._beginning: Beginning | None = None

    def __call__(self, case: TransactionTestCase) -> None:
        if self._beginning is not None and self._beginning.restored():
            return
        self._flush(case)
        self._beginning = Beginning.now()
