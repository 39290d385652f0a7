"""Accounts to look around with: staff, and some of the families in the data."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count
from django.utils.crypto import salted_hmac

from habits.models import User, Week

STAFF = "admin@example.com"
FAMILIES = ("family@example.com", "family2@example.com")


@dataclass(frozen=True, slots=True)
class Login:
    """What to type."""

    email: str
    password: str


def provide_staff() -> Login:
    """An account that may do everything in the admin."""
    user = User.objects.filter(email=STAFF).first() or User.objects.create_superuser(STAFF)
    return _open(user)


def provide_families() -> list[Login]:
    """Accounts that own boards, as far as anybody does: owners in the data who never had a login, most weeks first."""
    return [_family(email) for email in FAMILIES]


def _family(email: str) -> Login:
    user = User.objects.filter(email=email).first() or _owner_without_login() or User(email=email)
    user.email = email
    return _open(user)


def _owner_without_login() -> User | None:
    weeks = Week.objects.values("user").annotate(weeks=Count("id")).order_by("-weeks", "user")
    asleep = User.objects.filter(is_active=False, id__in=[row["user"] for row in weeks])
    found = {user.pk: user for user in asleep}
    return next((found[row["user"]] for row in weeks if row["user"] in found), None)


def _open(user: User) -> Login:
    """Let the account log in. Its password stays the same from run to run: it follows from the secret key."""
    password = salted_hmac("config.demo", user.email, algorithm="sha256").hexdigest()[:12]
    if not user.check_password(password):
        user.set_password(password)
    user.is_active = True
    user.save()
    return Login(user.email, password)
