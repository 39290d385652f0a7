"""What people and machines are told about a validation; the same facts for the terminal, JSON, HTML and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode
from migration_ops.models import (
    Difference,
    MergeRecord,
    QuarantineItem,
    QuarantineStatus,
)
from migration_ops.verify.look import waiting_among
from migration_ops.verify.repair import Repair
from migration_ops.verify.validation import Validation, summary

PAGE = 500


@dataclass(frozen=True, slots=True)
class Report:
    """A validation, and the repair that followed, if any.

    Attributes:
        repair: what was done about the differences, or in a dry run would be.
    """

    validation: Validation
    repair: Repair | None = None
    dry_run: bool = False

    @property
    def migration(self) -> AnyMigration:
        return self.validation.migration

    @property
    def left(self) -> int:
        """Differences that are still there and not explained, rows that belong to no document among them."""
        if self.repair is None or self.dry_run:
            return self.validation.unsettled + self.validation.stray_rows
        return self.repair.left

    @property
    def strays_left(self) -> int:
        """Rows that belong to no document and are still there."""
        if self.repair is None or self.dry_run:
            return self.validation.stray_rows
        return self.repair.strays.left

    @property
    def exit_code(self) -> ExitCode:
        """Differences weigh more than incompleteness, that more than open quarantine."""
        if self.left:
            return ExitCode.DIFFERENT
        if not self.validation.complete:
            return ExitCode.FAILED
        return ExitCode.QUARANTINED if self.validation.quarantine_open else ExitCode.DONE

    def verdict(self) -> str:
        """The one sentence to read first."""
        tally, plural = self.validation.tally, self.migration.plural
        strays = self.strays_left
        if strays and self.left == strays:
            return ngettext(
                "%(count)s row of the modern store belongs to none of the %(plural)s.",
                "%(count)s rows of the modern store belong to none of the %(plural)s.",
                strays,
            ) % {"count": f"{strays:,}", "plural": plural}
        if self.left:
            left = self.left - strays
            count = f"{left:,}"
            if self.repair is not None and not self.dry_run:
                return _("%(count)s %(plural)s still differ after the repair.") % {"count": count, "plural": plural}
            return ngettext(
                "%(count)s of the %(plural)s differs between the two stores.",
                "%(count)s %(plural)s differ between the two stores.",
                left,
            ) % {"count": count, "plural": plural}
        if not self.validation.complete:
            return _("Not everything was seen, so nothing is proven.")
        if self.repair is not None and (tally.differences or self.validation.strays):
            return _("Everything that differed is repaired; validate again to prove it.")
        if tally.differences:
            return ngettext(
                "%(count)s of the %(plural)s differs, as somebody explained.",
                "%(count)s %(plural)s differ, as somebody explained.",
                tally.differences,
            ) % {"count": f"{tally.differences:,}", "plural": plural}
        if self.validation.sample is not None:
            return _("All %(count)s %(plural)s that were looked at are equal in both stores.") % {
                "count": f"{tally.compared:,}",
                "plural": plural,
            }
        if not tally.compared:
            return _("Both stores are empty; there is nothing to compare.")
        return _("Every one of %(cells)s marks in %(count)s %(plural)s is where it should be.") % {
            "cells": f"{tally.cells_legacy:,}",
            "count": f"{tally.compared:,}",
            "plural": plural,
        }

    def as_json(self) -> dict[str, Any]:
        """All that `--json` prints but the differences."""
        data: dict[str, Any] = summary(self.validation)
        data |= self.validation.particulars()
        data["run"] = self.validation.run.pk
        if self.repair is not None:
            data |= _repair_json(self.repair, dry_run=self.dry_run, migration=self.migration)
        return data

    def differences(self) -> Iterator[dict[str, Any]]:
        """Every difference as JSON, in constant memory: the key's parts, kind, fields, id, severity, status; `dirty` is
        there and true where a change of the key still waits to be carried over."""
        found = self.validation.differences()
        while page := list(islice(found, PAGE)):
            waiting = waiting_among(self.migration, [difference.key for difference in page])
            for difference in page:
                yield _difference(self.migration, difference, waiting)

    def quarantine(self) -> list[dict[str, Any]]:
        """Quarantined rows by code: how many wait, how many were accepted. A dry run adds those it met first."""
        counted: dict[str, dict[str, Any]] = {}
        rows = (
            QuarantineItem.objects.filter(migration=self.migration.name)
            .exclude(status=QuarantineStatus.RESOLVED)
            .values_list("code", "status")
            .annotate(rows=Count("pk"))
            .order_by("code")
        )
        for code, status, count in rows:
            counted.setdefault(code, {"code": code, "open": 0, "accepted": 0})[status] = count
        for code, count in self.validation.unrecorded.items():
            counted.setdefault(code, {"code": code, "open": 0, "accepted": 0})["open"] += count
        return [counted[code] for code in sorted(counted)]

    def conflicts(self) -> Iterator[dict[str, Any]]:
        """Merged documents whose rows said different things, with what was kept and what was dropped."""
        merges = MergeRecord.of(self.migration).exclude(conflicts=[]).order_by("pk")
        for merge in merges.iterator(chunk_size=PAGE):
            key = self.migration.describe_key(self.migration.decode_key(merge.key))
            yield {**key, "rows": merge.rows, "conflicts": merge.conflicts}


def _repair_json(repair: Repair, *, dry_run: bool, migration: AnyMigration) -> dict[str, Any]:
    failed = [
        {**migration.describe_key(migration.decode_key(failure.key)), "error": failure.message}
        for failure in repair.failed
    ]
    failed += [{"table": failure.table, "error": failure.message} for failure in repair.strays.failed]
    return {
        "repaired": 0 if dry_run else repair.changed,
        "would_repair": repair.changed if dry_run else 0,
        "repair_failed": len(failed),
        "repair_failures": failed[:100],
        "extras_kept": repair.kept,
        "gone": repair.gone,
        "strays_removed": 0 if dry_run else repair.strays.removed,
        "would_remove_strays": repair.strays.removed if dry_run else 0,
        "dry_run": dry_run,
    }


def _difference(migration: AnyMigration, difference: Difference, waiting: set[str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        **migration.describe_key(migration.decode_key(difference.key)),
        "kind": difference.kind,
        "fields": difference.fields,
        "id": difference.pk,
        "severity": difference.severity,
        "status": difference.status,
    }
    if difference.key in waiting:
        said["dirty"] = True
    return said
