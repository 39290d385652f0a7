"""Says between batches that the process that speaks for a run is alive, and how far the run is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db.models import F

from migration_ops.backfill import lease as leases
from migration_ops.backfill import report
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.stop import Stop
from migration_ops.conf import settings
from migration_ops.models import Run
from migration_ops.runs import Opened

SHOWN = 0.25
"""Seconds between two looks at the progress while somebody watches."""


@dataclass(slots=True)
class Heartbeat:
    """Of the process that holds the lease on the whole run. Renews it in good time and adds up the seconds worked.

    Raises `LeaseLost` when called after somebody else took the run.
    """

    opened: Opened
    show: Callable[[Progress], None] | None = None
    clock: Callable[[], float] = time.monotonic
    _renewed: float = field(init=False)
    _shown: float = field(init=False)

    def __post_init__(self) -> None:
        self._renewed = self._shown = self.clock()

    def __call__(self, *, now: bool = False) -> None:
        moment = self.clock()
        if now or moment - self._renewed > settings().lease.total_seconds() / 5:
            leases.renew(self.opened.lease)
            Run.objects.filter(pk=self.opened.run.pk).update(
                worked_seconds=F("worked_seconds") + (moment - self._renewed)
            )
            self._renewed = moment
        if self.show is not None and (now or moment - self._shown > SHOWN):
            self._shown = moment
            self.opened.run.refresh_from_db(fields=["worked_seconds", "hold_reason", "total"])
            self.show(report.progress_of(self.opened.run))


@dataclass(frozen=True, slots=True)
class Orphaned:
    """Of a worker process: stops when the process that started it is gone."""

    stop: Stop
    parent: int

    def __call__(self, *, now: bool = False) -> None:
        if os.getppid() != self.parent:
            self.stop.request()
