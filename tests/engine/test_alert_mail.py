"""Mail about alerts: a real server on this machine, which may take as long as it likes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from migration_ops.alerts import channels
from migration_ops.alerts.channels import Mail
from migration_ops.alerts.undelivered import Undelivered
from tests.engine.test_alert_webhook import MESSAGE
from tests.engine.waiting import eventually

MAIL = Mail(["ops@example.org"])


class Drips(threading.Thread):
    """A mail server whose greeting comes a letter at a time and has no end, until `over` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.visitors = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.start()

    def run(self) -> None:
        with self._socket:
            while True:
                visitor, _ = self._socket.accept()
                self.visitors += 1
                with visitor:
                    while not self.over.wait(0.01):
                        visitor.sendall(b"2")


@pytest.fixture
def drips(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drips]:
    server = Drips()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 10
    monkeypatch.setattr(channels, "WHOLE", 0.3)
    yield server
    server.over.set()
    eventually(lambda: not any(thread.name == "alert-mail" for thread in threading.enumerate()))


def test_a_server_that_answers_a_letter_at_a_time_keeps_the_others_waiting_once(drips: Drips) -> None:
    with pytest.raises(Undelivered, match="did not answer in time"):
        MAIL.send(MESSAGE)
    with pytest.raises(Undelivered, match="still busy with an earlier message"):
        MAIL.send(MESSAGE)
    assert drips.visitors == 1


def test_when_it_has_let_go_it_is_asked_again(drips: Drips) -> None:
    with pytest.raises(Undelivered, match="did not answer in time"):
        MAIL.send(MESSAGE)
    drips.over.set()
    eventually(lambda: not any(thread.name == "alert-mail" for thread in threading.enumerate()))
    with pytest.raises(Undelivered, match="could not be handed over"):
        MAIL.send(MESSAGE)
    assert drips.visitors == 2


def test_a_message_that_is_taken_is_sent_once(mailoutbox: list[Any]) -> None:
    MAIL.send(MESSAGE)
    MAIL.send(MESSAGE)
    assert [(each.subject, each.to) for each in mailoutbox] == [(MESSAGE.title, ["ops@example.org"])] * 2
