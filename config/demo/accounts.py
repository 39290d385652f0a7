"""Two accounts to look around with: staff, and one of the families in the data."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.crypto import salted_hmac

from habits.models import User, Week

STAFF = "admin@example.com"
FAMILY = "family@example.com"


@dataclass(frozen=True, slots=True)
class Login:
    """What to type."""

    email: str
    password: str


def provide_staff() -> Login:
    """An account that may do everything in the admin."""
    user = User.objects.filter(email=STAFF).first() or User.objects.create_superuser(STAFF)
    return _open(user)


def provide_family() -> Login:
    """An account that owns boards, if anybody does: the first owner in the data who never had a login."""
    user = (
        User.objects.filter(email=FAMILY).first()
        or User.objects.filter(is_active=False, id__in=Week.objects.values("user")).order_by("id").first()
        or User(email=FAMILY)
    )
    user.email = FAMILY
    return _open(user)


def _open(user: User) -> Login:
    """Let the account log in. Its password stays the same from run to run: it follows from the secret key."""
    password = salted_hmac("config.demo", user.email, algorithm="sha256").hexdigest()[:12]
    if not user.check_password(password):
        user.set_password(password)
    user.is_active = True
    user.save()
    return Login(user.email, password)
