"""The RQ worker of this product: `RQ = {"WORKER_CLASS": "migration_ops.worker.ReportingWorker"}`."""

from __future__ import annotations

from typing import Any

from rq import Worker

from migration_ops.observe.heartbeat import Role
from migration_ops.observe.reporting import Reporting


class ReportingWorker(Worker):
    """Says that it is alive from its start to its end, whether it has anything to do or not.

    It speaks for the processes that it forks for its jobs: they run the same code with the same settings.
    """

    def work(self, *args: Any, **kwargs: Any) -> bool:
        reporting = Reporting(Role.WORKER)
        reporting.begin()
        try:
            return super().work(*args, **kwargs)
        finally:
            reporting.end()
