"""The checks of `/readyz`, in the terms of django-health-check.

What this web process needs to serve a family is *required*: the database, with the schema that this code expects.
Everything else makes the installation *degraded*: without Redis, applier, evaluator or scheduler families are served,
and to take all web processes away because of it would make of a delay an outage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import Error
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning
from redis import RedisError, ResponseError

from migration_ops.exceptions import first_line
from migration_ops.health import queue, standing
from migration_ops.health.lookout import Lookout, NotInTime, wait_for
from migration_ops.health.standing import BACKGROUND, Standing
from migration_ops.observe.heartbeat import Role, longest_silence

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=2)
"""How long a probe waits for the database and, at the same time, for Redis: shorter than any load balancer does."""

database = Lookout(standing.look)
redis = Lookout(queue.ping)


class Unknown(ServiceWarning):
    """The database would know, and does not answer."""


@dataclass
class Check(HealthCheck):
    """One line of the answer.

    Attributes:
        name: how the answer calls it.
        required: whether this process is of no use without it.
        age: seconds since the process was heard of, for those that say so.
    """

    name: str
    required: bool
    age: float | None = field(default=None, init=False, repr=False)


@dataclass
class Database(Check):
    """The database answers."""

    seen: Future[Standing] = field(repr=False)

    async def run(self) -> None:
        try:
            await wait_for(self.seen, PATIENCE)
        except NotInTime as error:
            logger.error("The database has not answered a probe within %s.", PATIENCE)  # noqa: TRY400 - said in full
            raise ServiceUnavailable("The database does not answer in time.") from error
        except Error as error:
            logger.error("The database does not answer a probe: %s", first_line(error))  # noqa: TRY400 - said in full
            raise ServiceUnavailable("The database does not answer; the log of this process says why.") from error


@dataclass
class Migrations(Check):
    """The database has the schema that this code expects. One that is newer is fine: so it is during a deploy."""

    seen: Future[Standing] = field(repr=False)

    async def run(self) -> None:
        unapplied = (await _known(self.seen)).unapplied
        if unapplied:
            raise ServiceUnavailable(f"{unapplied} migrations are not applied. Run `manage.py migrate`.")


@dataclass
class Queue(Check):
    """The queue's Redis answers, and takes what is written to it."""

    seen: Future[None] = field(repr=False)

    async def run(self) -> None:
        try:
            await wait_for(self.seen, PATIENCE)
        except ResponseError as error:
            logger.error("Redis refuses what a probe writes: %s", first_line(error))  # noqa: TRY400 - said in full
            raise ServiceWarning("Redis answers, and takes nothing; background work waits.") from error
        except (NotInTime, RedisError, OSError) as error:
            raise ServiceWarning("Redis does not answer; background work waits.") from error


@dataclass
class Background(Check):
    """A process with this role is alive, where the stages need one."""

    role: Role
    seen: Future[Standing] = field(repr=False)

    async def run(self) -> None:
        found = await _known(self.seen)
        if found.unapplied:
            raise Unknown("The database does not say.")
        age = self.age = found.ages.get(self.role)
        if self.role not in found.needed:
            return
        if age is None:
            raise ServiceWarning(f"No {self.role} was ever heard of.")
        longest = longest_silence(self.role).total_seconds()
        if age > longest:
            raise ServiceWarning(
                f"The {self.role} was last heard of {age:.0f} s ago, and must be within {longest:g} s."
            )


async def _known(seen: Future[Standing]) -> Standing:
    """What the database says.

    Raises:
        Unknown: nothing; why is what the check of the database itself says.
    """
    try:
        return await wait_for(seen, PATIENCE)
    except (NotInTime, Error) as error:
        raise Unknown("The database does not say.") from error


def checks() -> Iterator[Check]:
    """All of them, about one look at the database and one at Redis."""
    seen, pinged = database.begin(), redis.begin()
    yield Database("database", required=True, seen=seen)
    yield Migrations("migrations", required=True, seen=seen)
    yield Queue("queue", required=False, seen=pinged)
    for role in BACKGROUND:
        yield Background(role.value, required=False, role=role, seen=seen)
