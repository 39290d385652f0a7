"""New accounts of families. Nobody learns from it who has an account already: every answer comes by mail.

The link in the mail proves that the address is theirs, and only then is there an account. Whoever opens it where they
signed up is done; elsewhere they choose a password, so that nobody gets an account with a stranger's password.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.hashers import make_password
from django.core import signing
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext

from habits.models import User

VALID_FOR = timedelta(days=1)
_SALT = "habits.sign_up"


class InvalidLink(Exception):
    """The link was changed on its way, or is too old."""


class HasAccount(Exception):
    """There is an account of this address already."""


def ticket(email: str) -> str:
    """What the link carries: the address, signed."""
    return signing.dumps(email, salt=_SALT)


def address_in(ticket: str) -> str:
    """The address that the ticket was made for.

    Raises:
        InvalidLink: it is none of ours, or older than a day.
    """
    try:
        return str(signing.loads(ticket, salt=_SALT, max_age=VALID_FOR))
    except signing.BadSignature:
        raise InvalidLink from None


def write_to(email: str, *, confirm: str, login: str, reset: str) -> None:
    """Send the mail: with the link that makes the account, or, where there is one, with the way to it.

    Args:
        confirm, login, reset: addresses of those pages, with the ticket in the first.

    Raises:
        OSError: the mail server could not be reached or refused (`smtplib.SMTPException` is one).
    """
    parts = urlsplit(login)
    site = urlunsplit((parts.scheme, parts.netloc, "/", "", ""))
    known = User.objects.filter(email__iexact=email, is_active=True).exists()
    template = "accounts/mail/known.txt" if known else "accounts/mail/confirm.txt"
    text = render_to_string(template, {"site": site, "confirm": confirm, "login": login, "reset": reset})
    send_mail(gettext("Your account for the habit boards"), text, None, [email])


def create(email: str, password_hash: str) -> User:
    """Make the account; a family's, never staff.

    Raises:
        HasAccount: there is one already.
    """
    if User.objects.filter(email__iexact=email).exists():
        raise HasAccount
    try:
        with transaction.atomic():
            user = User(email=email, password=password_hash)
            user.save(force_insert=True)
            return user
    except IntegrityError:
        raise HasAccount from None


def hashed(password: str) -> str:
    """As it may be kept until the mail is answered."""
    return make_password(password)
