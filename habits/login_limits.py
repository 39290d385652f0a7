"""Bounds how often a password is tried or a mail is asked for: for one account from one address, and in all.

The counts are in the database, so they hold for all processes together and need no Redis. An attempt is counted before
it is made: a thousand at once are no way around the limit. Whether an account exists makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from django.db import connection
from django.http import HttpRequest

from habits.models import LoginAttempts

WINDOW = timedelta(minutes=15)

_COUNT = """
INSERT INTO login_attempts AS counted (key, attempts, window_ends)
VALUES (%s, 1, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET
  attempts = CASE WHEN counted.window_ends <= clock_timestamp() THEN 1 ELSE counted.attempts + 1 END,
  window_ends = CASE
    WHEN counted.window_ends <= clock_timestamp() THEN excluded.window_ends ELSE counted.window_ends END
RETURNING attempts
"""
_GIVE_BACK = "UPDATE login_attempts SET attempts = attempts - 1 WHERE key = ANY (%s) AND attempts > 0"
_PURGE = """
DELETE FROM login_attempts WHERE key IN (
  SELECT key FROM login_attempts WHERE window_ends <= clock_timestamp()
   ORDER BY window_ends LIMIT 20 FOR UPDATE SKIP LOCKED)
"""


class TooManyAttempts(Exception):
    """So many attempts were made that no further one is looked at before the window has passed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts one window admits: for an account from one address, for the account, and from the address."""

    here: int
    account: int
    address: int


LOGIN = Limit(here=10, account=100, address=200)
MAIL = Limit(here=5, account=10, address=50)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: what for, on which account (as it was typed), and from which address."""

    purpose: str
    account: str
    address: str

    def admit(self, limit: Limit) -> None:
        """Count it.

        Raises:
            TooManyAttempts: this one is beyond a limit.
        """
        here, account, address = self._keys()
        counts = {key: self._count(key) for key in sorted((here, account, address))}
        with connection.cursor() as cursor:
            cursor.execute(_PURGE)
        if counts[here] > limit.here or counts[account] > limit.account or counts[address] > limit.address:
            raise TooManyAttempts

    def forgive(self) -> None:
        """It was a good one: forget those before it from here, and count it nowhere."""
        here, *others = self._keys()
        LoginAttempts.objects.filter(key=here).delete()
        with connection.cursor() as cursor:
            cursor.execute(_GIVE_BACK, [others])

    def _keys(self) -> tuple[str, str, str]:
        account = self.account.strip().lower()
        return (
            _digest(self.purpose, account, self.address),
            _digest(self.purpose, account, ""),
            _digest(self.purpose, "", self.address),
        )

    @staticmethod
    def _count(key: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [key, WINDOW.total_seconds()])
            return int(cursor.fetchone()[0])


def address_of(request: HttpRequest, *, behind_proxy: bool) -> str:
    """Where the request comes from; behind a proxy, what the proxy itself saw, which is the last address it names."""
    named = request.META.get("HTTP_X_FORWARDED_FOR", "") if behind_proxy else ""
    return named.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(errors="replace"), digest_size=16).hexdigest()
