"""What is looked at in the legacy data before the migration starts."""

from __future__ import annotations

from collections import Counter

from django.db import DatabaseError, connection, transaction

from habits.stores.legacy import legacy_store
from habits.stores.legacy_schema import TABLE
from migration_ops.definition import PreflightCheck, Span, Status
from migration_ops.exceptions import MigrationOpsError, first_line
from migration_ops.sentence import said

SAMPLE_ROWS = 2_000
"""Rows that are looked at in a store that cannot count owners by itself."""

_OWNERS = f"""
SELECT count(*) FILTER (WHERE user_id IS NULL),
       count(*) FILTER (WHERE user_id IS NOT NULL AND NOT EXISTS (SELECT FROM users WHERE users.id = user_id))
  FROM {TABLE}
"""


def legacy_readable() -> PreflightCheck:
    """The legacy store is there, and a first row can be read."""
    try:
        with transaction.atomic():
            page = legacy_store().scan(Span(), 1)
    except (MigrationOpsError, DatabaseError, OSError) as error:
        hint = (
            "Check LEGACY_BACKEND, LEGACY_JSON_PATH and DATABASE_URL; `manage.py seed_legacy` makes data for a trial."
        )
        message = said("The legacy data cannot be read: %(why)s", why=first_line(error))
        return PreflightCheck("legacy_readable", Status.FAIL, message, hint)
    if not page.rows:
        hint = "If there should be data, check LEGACY_BACKEND, LEGACY_JSON_PATH and DATABASE_URL."
        return PreflightCheck("legacy_readable", Status.WARN, "The legacy store is empty.", hint)
    return PreflightCheck("legacy_readable", Status.OK, "The legacy data can be read.")


def owners_known() -> PreflightCheck:
    """Every legacy row has an owner with an account; rows that have none go to quarantine."""
    if legacy_readable().status is Status.FAIL:
        return PreflightCheck("owners_known", Status.WARN, "Owners cannot be counted while the data cannot be read.")
    store = legacy_store()
    if store.captured_tables:
        with connection.cursor() as cursor:
            cursor.execute(_OWNERS)
            missing, unknown = cursor.fetchone()
        among = "all rows"
    else:
        page = store.scan(Span(), SAMPLE_ROWS)
        codes = Counter(rejection.code for rejection in page.rejections if rejection.held_by is None)
        missing, unknown = codes["owner_missing"], codes["owner_unknown"]
        among = f"the first {page.rows} rows"
    if not missing and not unknown:
        return PreflightCheck("owners_known", Status.OK, f"Every owner has an account (looked at {among}).")
    return PreflightCheck(
        "owners_known",
        Status.WARN,
        f"Of {among}, {missing} have no owner and {unknown} an owner without an account; they will be quarantined.",
        "Run `manage.py import_owners --from-legacy` for owners without an account; for rows without an owner use"
        " `manage.py quarantine assign-owner` after the backfill.",
    )
