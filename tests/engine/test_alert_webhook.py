"""The webhook: to whom a message goes, and to whom it never does. Real HTTPS, on this machine."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import trustme

from migration_ops.alerts import webhook
from migration_ops.alerts.addresses import is_public
from migration_ops.alerts.payload import Payload
from migration_ops.alerts.problems import Found, Problem
from migration_ops.alerts.undelivered import Undelivered
from migration_ops.alerts.webhook import Webhook, what_is_wrong

HOST = "hooks.example.test"
SECRET = "T0000-B0000-XXXXXXXX"
MESSAGE = Payload(7, "opened", "boards", Found(Problem.DIRTY_OLD, "", {"count": 3, "age_seconds": 400}), "2026-01-01")


class Hook(HTTPServer):
    """A server for hooks on this machine; `answer` is what it says, `asked` what it was asked."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = 200
        self.drips = False
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        self.names: list[str] = []
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body))
        if self.server.drips:
            while True:
                self.wfile.write(b"H")
                self.wfile.flush()
                threading.Event().wait(0.02)
        self.send_response(self.server.answer)
        self.send_header("Location", f"https://{HOST}/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """The tests look at what it was asked."""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def hook(authority: trustme.CA) -> Iterator[Hook]:
    yield from _served(Hook(authority, HOST))


def _served(server: Hook) -> Iterator[Hook]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def believing(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def to(server: Hook, authority: trustme.CA, **other: Any) -> Webhook:
    """The webhook of this server, whose name has the address of this machine for this test alone."""
    port = server.server_address[1]
    said = {
        "hosts": [f"{HOST}:{port}"],
        "resolve": lambda host, port: ["127.0.0.1"],
        "context": believing(authority),
        **other,
    }
    return Webhook(f"https://{HOST}:{port}/services/{SECRET}", **said)


def refused(sending: Webhook) -> str:
    with pytest.raises(Undelivered) as why:
        sending.send(MESSAGE)
    assert SECRET not in f"{why.value!r} {why.value.__cause__!r} {sending!r}"
    assert why.value.__suppress_context__ or why.value.__context__ is None, "a traceback would show what went before"
    return str(why.value)


def test_it_posts_what_slack_understands_to_the_host_of_the_certificate(hook: Hook, authority: trustme.CA) -> None:
    to(hook, authority).send(MESSAGE)
    ((path, headers, body),) = hook.asked
    assert path == f"/services/{SECRET}"
    assert (headers["Host"], headers["Content-Type"]) == (
        f"{HOST}:{hook.server_address[1]}",
        "application/json; charset=utf-8",
    )
    assert hook.names == [HOST]
    assert json.loads(body) == {
        "text": "*[boards] Problem (warning, alert 7)*\n3 changes wait to be carried over, the oldest for 7 min; 0 of"
        " them were tried in vain. Is `manage.py sync_changes --follow` running?\nSince 2026-01-01."
    }


def test_a_certificate_of_somebody_else_is_refused(authority: trustme.CA) -> None:
    for server in _served(Hook(authority, "hooks.example.org")):
        assert refused(to(server, authority)) == "the webhook's certificate is not valid for its host"
        assert server.asked == []


def test_a_certificate_that_nobody_vouches_for_is_refused(hook: Hook, authority: trustme.CA) -> None:
    assert refused(to(hook, trustme.CA())) == "the webhook's certificate is not valid for its host"
    assert hook.asked == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hook: Hook, authority: trustme.CA, status: int) -> None:
    hook.answer = status
    assert refused(to(hook, authority)) == f"the webhook answered with a redirect ({status}), which is refused"
    assert len(hook.asked) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500, 503])
def test_what_is_not_taken_is_not_sent(hook: Hook, authority: trustme.CA, status: int) -> None:
    hook.answer = status
    assert refused(to(hook, authority)) == f"the webhook answered {status}"


def test_no_proxy_of_the_environment_is_put_in_between(
    hook: Hook, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    to(hook, authority).send(MESSAGE)
    assert len(hook.asked) == 1


def test_it_connects_to_the_address_that_was_looked_at_and_looks_once(hook: Hook, authority: trustme.CA) -> None:
    """A name that has another address a moment later changes nothing."""
    answers = [["127.0.0.1"], ["192.0.2.1"]]
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return answers.pop(0)

    to(hook, authority, resolve=resolve).send(MESSAGE)
    assert asked == [(HOST, hook.server_address[1])]
    assert len(hook.asked) == 1


def test_a_host_on_this_machine_is_refused_without_a_connection(authority: trustme.CA) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        for name in ("localhost", "127.0.0.1"):
            here = Webhook(f"https://{name}:{port}/{SECRET}", [f"{name}:{port}"])
            assert refused(here) == "the webhook's host has an address that is not public"
        with pytest.raises(BlockingIOError):
            server.accept()


def test_one_address_that_is_not_public_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", ("8.8.8.8", 443)), (0, 0, 0, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(Undelivered, match="not public"):
        webhook.public_addresses(HOST, 443)
    del found[1]
    assert webhook.public_addresses(HOST, 443) == ["8.8.8.8"]


def test_a_name_without_an_address_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any, **__: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    assert refused(Webhook(f"https://{HOST}/{SECRET}", [HOST])) == "the name of the webhook's host has no address"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - refused
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "localhost",
        "0x7f000001",
        "2130706433",
        "",
    ],
)
def test_addresses_that_are_none_of_the_public_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://hooks.slack.com/services/x", ""),
        ("https://HOOKS.slack.com/services/x", ""),
        ("https://hooks.slack.com:443/x", ""),
        ("https://chat.example.org:8443/x", ""),
        ("http://hooks.slack.com/x", "does not begin with https://"),
        ("file:///etc/passwd", "does not begin with https://"),
        ("https:///x", "does not begin with https://"),
        ("https://user:pass@hooks.slack.com/x", "names a user"),
        ("https://hooks.slack.com@127.0.0.1/x", "names a user"),
        ("https://hooks.slack.com:8443/x", "does not name"),
        ("https://hooks.slack.com.example.org/x", "does not name"),
        ("https://xhooks.slack.com/x", "does not name"),
        ("https://127.0.0.1/x", "does not name"),
        ("https://[::1]/x", "does not name"),
        ("https://hooks.slack.com:99999/x", "no web address"),
        ("https://[::1/x", "no web address"),
        ("https://hooks.slack.com/x y", "characters"),
        ("https://hooks.slack.com/x\r\nHost: y", "characters"),
    ],
)
def test_only_https_and_only_hosts_that_are_named(url: str, wrong: str) -> None:
    found = what_is_wrong(url, ["hooks.slack.com", "chat.example.org:8443"])
    assert bool(found) == bool(wrong)
    assert wrong in found
    assert "/x" not in found


def test_a_server_that_does_not_answer_is_hung_up_on(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "STEP", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        silent = Webhook(
            f"https://{HOST}:{port}/{SECRET}",
            [f"{HOST}:{port}"],
            resolve=lambda host, port: ["127.0.0.1"],
            context=believing(authority),
        )
        assert refused(silent) == "the webhook did not answer in time"


def test_a_server_that_answers_a_letter_at_a_time_is_hung_up_on(
    hook: Hook, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "WHOLE", 0.3)
    hook.drips = True
    began = time.monotonic()
    assert refused(to(hook, authority)).startswith("the webhook could not be reached")
    assert time.monotonic() - began < 5
