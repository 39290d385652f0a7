"""The RQ worker of this product: `RQ = {"WORKER_CLASS": "migration_ops.worker.ReportingWorker"}`."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import redis
from rq import Worker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from migration_ops.exceptions import first_line
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.reporting import Reporting

AGAIN = 1.0
"""Seconds after which a worker that Redis has left begins anew."""

logger = logging.getLogger(__name__)


class ReportingWorker(Worker):
    """Says that it is alive from its start to its end, whether it has anything to do or not.

    It speaks for the processes that it forks for its jobs: they run the same code with the same settings. It reads jobs
    as JSON, whatever the command line says. It outlives Redis: RQ's own worker ends when Redis goes away at certain
    moments. Told to end by SIGTERM, it tells its job, which may end early; one that does not listen is waited for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "serializer": JSONSerializer})

    def work(self, *args: Any, **kwargs: Any) -> bool:
        reporting = Reporting(Role.WORKER)
        reporting.begin()
        try:
            return self._work_on(*args, **kwargs)
        finally:
            reporting.end()

    def _work_on(self, *args: Any, **kwargs: Any) -> bool:
        bounded = kwargs.get("burst") or kwargs.get("max_jobs") is not None or kwargs.get("max_idle_time") is not None
        worked = False
        with suppress(StopRequested):
            while True:
                try:
                    worked = super().work(*args, **kwargs) or worked
                except redis.RedisError as error:
                    if bounded:
                        raise
                    logger.warning("This worker begins anew when Redis answers: %s", first_line(error))
                if bounded or self._shutdown_requested_date is not None:
                    break
                time.sleep(AGAIN)
                self.name = uuid4().hex  # under the old one Redis may still know it as alive
        return worked

    def handle_warm_shutdown_request(self) -> None:
        if self.horse_pid:
            os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """A job that does not listen to SIGTERM is not killed by it, also where a supervisor sends it to all."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
