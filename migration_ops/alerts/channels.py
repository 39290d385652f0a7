"""Where alerts go: the log always, mail and a webhook where the installation says so."""

from __future__ import annotations

import logging
import smtplib
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings as django_settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.console import EmailBackend

from migration_ops.alerts.payload import Payload
from migration_ops.alerts.problems import Channel, Severity, severity
from migration_ops.alerts.undelivered import Undelivered
from migration_ops.alerts.webhook import WHOLE, Webhook

logger = logging.getLogger("migration_ops.alerts")

DEFAULT_HOSTS = ("hooks.slack.com",)

CONSOLE = "django.core.mail.backends.console.EmailBackend"


_at_it = threading.Lock()
"""Held while a message is with the mail server, so that one that hangs holds one thread of this process and no more."""


class Sends(Protocol):
    """A way out."""

    def send(self, payload: Payload) -> None:
        """Send it, within seconds.

        Raises:
            Undelivered: it did not arrive, and why.
        """


@dataclass(frozen=True)
class Log:
    """The log of the process that sends."""

    def send(self, payload: Payload) -> None:
        bad = payload.event != "resolved" and severity(payload.found.problem) is Severity.CRITICAL
        logger.log(logging.ERROR if bad else logging.WARNING, "%s: %s", payload.title, payload.text.replace("\n", " "))


@dataclass(frozen=True)
class Mail:
    """Django's mail, from `DEFAULT_FROM_EMAIL`."""

    recipients: Sequence[str]

    def send(self, payload: Payload) -> None:
        try:
            _hand_over(EmailMessage(payload.title, payload.text, to=list(self.recipients), connection=_mail()))
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the mail server answered {error.smtp_code}") from None
        except TimeoutError:
            raise Undelivered("the mail server did not answer in time") from None
        except (OSError, ValueError) as error:  # of smtplib, sockets and TLS; of an address that is none
            raise Undelivered(f"the mail could not be handed over ({type(error).__name__})") from None


def _hand_over(message: EmailMessage) -> None:
    """Send it, in a thread that is left alone where it takes too long: backends limit each word of a server, and not
    all of them together.

    Raises:
        TimeoutError: it takes longer than `WHOLE`; it may still arrive.
        Undelivered: an earlier one that was left alone is still on its way.
        Exception: whatever the backend raises.
    """
    if not _at_it.acquire(blocking=False):
        raise Undelivered("the mail server is still busy with an earlier message")
    failures: list[Exception] = []

    def send() -> None:
        try:
            message.send()
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits for it
            failures.append(error)
        finally:
            _at_it.release()

    thread = threading.Thread(target=send, name="alert-mail", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread can be had
        _at_it.release()
        raise
    thread.join(WHOLE)
    if thread.is_alive():
        raise TimeoutError
    for error in failures:
        raise error


def _mail() -> Any:
    """The configured backend. One that prints does so where it is in nobody's way."""
    if django_settings.EMAIL_BACKEND == CONSOLE:
        return EmailBackend(stream=sys.stderr)
    return get_connection()


def configured() -> Mapping[Channel, Sends]:
    """The channels of this installation."""
    found: dict[Channel, Sends] = {Channel.LOG: Log()}
    recipients = tuple(getattr(django_settings, "ALERT_EMAILS", ()))
    if recipients:
        found[Channel.MAIL] = Mail(recipients)
    url = str(getattr(django_settings, "SLACK_WEBHOOK_URL", ""))
    if url:
        found[Channel.WEBHOOK] = Webhook(url, hosts())
    return found


def hosts() -> Sequence[str]:
    """The hosts that a webhook may be of."""
    return tuple(getattr(django_settings, "SLACK_WEBHOOK_HOSTS", DEFAULT_HOSTS))


def why_not(channel: Sends, message: Payload) -> str:
    """Send it; a sentence of ours about why it could not be sent, "" if it was."""
    try:
        channel.send(message)
    except Undelivered as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one channel must not keep all others; what it says may hold a secret
        return f"the channel broke ({type(error).__name__})"
    return ""
