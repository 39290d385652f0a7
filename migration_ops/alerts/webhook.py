"""Sends a message to a Slack-compatible webhook, and to nobody else.

The address is a secret and may be wrong: whoever can change it could make this server knock at doors inside its own
network. So only HTTPS, only to hosts that the installation names; the name is resolved once, every address it has must
be public, and the connection goes to the address that was looked at, so that a name that changes in between changes
nothing. Redirects are refused. The certificate must be the host's. No environment variable puts a proxy in between.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from migration_ops.alerts.addresses import is_public
from migration_ops.alerts.payload import Payload
from migration_ops.alerts.undelivered import Undelivered

HTTPS_PORT = 443

STEP = 5.0
"""Seconds for connecting, and for each word of the answer."""

WHOLE = 10.0
"""Seconds for all of it; a server that answers a letter at a time is hung up on."""

_MOST_ANSWER = 1_024

Resolve = Callable[[str, int], Sequence[str]]


def public_addresses(host: str, port: int) -> Sequence[str]:
    """The addresses that this name has now.

    Raises:
        Undelivered: it has none, or one of them is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Undelivered("the name of the webhook's host has no address") from None
    addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
    if not all(map(is_public, addresses)):
        raise Undelivered("the webhook's host has an address that is not public")
    return addresses


@dataclass(frozen=True)
class Webhook:
    """One address. What it shows of itself and what its errors say is its host, never the rest.

    Attributes:
        hosts: whom it may be, as `host`, or `host:port` where it is not 443.
        resolve: how a name becomes addresses that may be connected to.
        context: whom to believe certificates.
    """

    url: str = field(repr=False)
    hosts: Collection[str]
    resolve: Resolve = field(default=public_addresses, repr=False)
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def send(self, payload: Payload) -> None:
        """POST it.

        Raises:
            Undelivered: it was not taken, and why, without the address.
        """
        host, port, path = self._target()
        addresses = self.resolve(host, port)
        if not addresses:
            raise Undelivered("the name of the webhook's host has no address")
        connection = _Pinned(host, port, address=addresses[0], timeout=STEP, context=self.context)
        watchdog = threading.Timer(WHOLE, connection.hang_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            status = self._posted(connection, path, payload)
        except ssl.SSLCertVerificationError:
            raise Undelivered("the webhook's certificate is not valid for its host") from None
        except TimeoutError:
            raise Undelivered("the webhook did not answer in time") from None
        except (OSError, http.client.HTTPException) as error:
            raise Undelivered(f"the webhook could not be reached ({type(error).__name__})") from None
        finally:
            watchdog.cancel()
            connection.close()
        if 300 <= status < 400:
            raise Undelivered(f"the webhook answered with a redirect ({status}), which is refused")
        if not 200 <= status < 300:
            raise Undelivered(f"the webhook answered {status}")

    def _target(self) -> tuple[str, int, str]:
        wrong = what_is_wrong(self.url, self.hosts)
        if wrong:
            raise Undelivered(wrong)
        parts = urlsplit(self.url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return str(parts.hostname), parts.port or HTTPS_PORT, path

    @staticmethod
    def _posted(connection: http.client.HTTPSConnection, path: str, payload: Payload) -> int:
        body = json.dumps({"text": _escaped(f"*{payload.title}*\n{payload.text}")}).encode()
        connection.request("POST", path, body, {"Content-Type": "application/json; charset=utf-8"})
        response = connection.getresponse()
        response.read(_MOST_ANSWER)
        return response.status


def what_is_wrong(url: str, hosts: Collection[str]) -> str:
    """Why this address cannot be a webhook, without the address; "" if it can."""
    try:
        parts = urlsplit(url)
        port = parts.port or HTTPS_PORT
    except ValueError:
        return "SLACK_WEBHOOK_URL is no web address"
    if parts.scheme != "https" or not parts.hostname:
        return "SLACK_WEBHOOK_URL does not begin with https://"
    if parts.username is not None or parts.password is not None:
        return "SLACK_WEBHOOK_URL names a user"
    if any(ord(character) <= 0x20 or ord(character) >= 0x7F for character in url):
        return "SLACK_WEBHOOK_URL has characters that no web address has"
    name = parts.hostname if port == HTTPS_PORT else f"{parts.hostname}:{port}"
    if name not in {host.lower() for host in hosts}:
        return "SLACK_WEBHOOK_URL is of a host that SLACK_WEBHOOK_HOSTS does not name"
    return ""


def _escaped(text: str) -> str:
    """As Slack wants it; nothing in it is a link or calls anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Pinned(http.client.HTTPSConnection):
    """Connects to one address and speaks with the host: its name is in the handshake, on the certificate, in `Host`."""

    def __init__(self, host: str, port: int, *, address: str, timeout: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._address = address
        self._believing = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        # The handshake comes after whoever hangs up can find the socket.
        self.sock = self._believing.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()

    def hang_up(self) -> None:
        """End it, whatever it is doing."""
        sock = self.sock
        if sock is not None:
            with suppress(OSError):  # it has ended by itself
                sock.shutdown(socket.SHUT_RDWR)
