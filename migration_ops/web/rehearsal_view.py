"""What a backfill would do, as the look before it shows that: of the rows at hand, and of all in the last dry run."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops.backfill import rehearsals, report
from migration_ops.backfill.counters import Counters
from migration_ops.backfill.dry_run import Rehearsed
from migration_ops.definition import AnyMigration
from migration_ops.web import wording
from migration_ops.web.shapes import Fact, grouped


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the rows that were read would come to.

    Attributes:
        of: which rows these were.
    """

    of: str
    facts: tuple[Fact, ...]


def piece(found: Rehearsed, *, goes_on: bool = False) -> list[Rehearsal]:
    """What was found out within the look itself."""
    rows = found.counters.rows_read
    if goes_on:
        of = ngettext("Of the next %(rows)s row:", "Of the next %(rows)s rows:", rows)
    elif found.to_the_end:
        of = ngettext("Of the only row:", "Of all %(rows)s rows:", rows)
    else:
        of = ngettext("Of the first %(rows)s row:", "Of the first %(rows)s rows:", rows)
    how = _("Read for about a second at most, without writing anything.")
    return [_rehearsal(f"{how} {of % {'rows': grouped(rows)}}", found.counters)]


def whole(migration: AnyMigration) -> list[Rehearsal]:
    """What the last dry run of everything found, if there was one."""
    run = rehearsals.latest(migration)
    if run is None or run.ended_at is None:
        return []
    counters = report.counters_of(run)
    said = {
        "age": wording.duration(timezone.now() - run.ended_at),
        "rows": grouped(counters.rows_read),
    }
    of = ngettext(
        "In the dry run of everything that ended %(age)s ago, of %(rows)s row:",
        "In the dry run of everything that ended %(age)s ago, of %(rows)s rows:",
        counters.rows_read,
    )
    return [_rehearsal(of % said, counters)]


def would_be(counters: Counters) -> list[tuple[str, int]]:
    """What a backfill would do, counted."""
    return [
        (_("Would be written"), counters.written),
        (_("The same already"), counters.unchanged),
        (_("Merged into others"), counters.merged),
        (_("Would be quarantined"), counters.quarantined),
    ]


def _rehearsal(of: str, counters: Counters) -> Rehearsal:
    return Rehearsal(of, tuple(Fact(label, grouped(value)) for label, value in would_be(counters)))
