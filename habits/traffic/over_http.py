"""Sends requests to the running web app, as a family's browser does: logged in, with CSRF token and idempotency keys.

Only to this machine: whoever measures a server over a network measures the network, and traffic at a given rate is
nothing to point at somebody else's server by a slip of the hand.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID, uuid4

from habits.board import BoardKey
from habits.traffic.drivers import Answer, Failed, LineMissing, Seen
from habits.traffic.families import Family
from migration_ops.exceptions import UnusableInput

TIMEOUT = 30.0
"""Seconds after which an answer no longer comes."""

ATTEMPTS = 20
"""How often a board is looked at anew because somebody else has changed it between the look and the change."""

_LOGIN = "/accounts/login/"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: SimpleCookie

    def json(self) -> Any:
        return json.loads(self.body)


class OverHttp:
    """The JSON API of the web app at this address.

    Args:
        url: `http://` and a loopback address, with the port.

    Raises:
        UnusableInput: it is another address.
    """

    def __init__(self, url: str) -> None:
        self._host, self._port = _loopback(url)
        self._cookies: dict[UUID, dict[str, str]] = {}
        self._mine = threading.local()

    def log_in(self, families: Iterable[Family], password: str) -> None:
        """Open a session for each of these families.

        Raises:
            UnusableInput: the server does not let them in, or there is none.
        """
        try:
            for family in families:
                form = self._send("GET", _LOGIN)
                token = _value(form, "csrftoken")
                said = {"username": family.email, "password": password, "csrfmiddlewaretoken": token}
                cookies = {"csrftoken": token}
                reply = self._send("POST", _LOGIN, urlencode(said), cookies=cookies, content_type=_FORM)
                session = _value(reply, "sessionid")
                if not session:
                    raise UnusableInput(f"{self._host}:{self._port} did not let {family.email} in ({reply.status}).")
                self._cookies[family.owner] = {"csrftoken": _value(reply, "csrftoken") or token, "sessionid": session}
        except (OSError, HTTPException) as error:
            raise UnusableInput(f"The web app at {self._host}:{self._port} does not answer: {error}.") from error
        finally:
            self._disconnect()

    def board(self, key: BoardKey) -> Answer:
        reply = self._call("GET", key.owner, _week(key))
        return Answer(_served(reply), _lines(reply.json()))

    def weeks(self, key: BoardKey) -> Answer:
        return Answer(_served(self._call("GET", key.owner, f"{_child(key)}/weeks")))

    def children(self, owner: UUID) -> Answer:
        return Answer(_served(self._call("GET", owner, "/api/children")))

    def append(self, key: BoardKey, name: str) -> Answer:
        """The whole board with one line more, on the condition that nobody has changed it meanwhile."""
        for _ in range(ATTEMPTS):
            seen = self._call("GET", key.owner, _week(key))
            board = seen.json()
            wanted = {part: board[part] for part in ("theme", "reward", "reflection")}
            lines = [{"name": line["name"], "times": line["times"]} for line in board["habits"]]
            wanted["habits"] = [*lines, {"name": name, "times": ["none"] * 7}]
            reply = self._change("PUT", key, _week(key), wanted, {"If-Match": seen.headers["etag"]})
            if reply.status != 412:
                return Answer(_served(_accepted(reply)))
        raise Failed("412")

    def mark(self, key: BoardKey, name: str, day: int, status: str) -> Answer:
        """By position: whoever moves lines between the look and the mark is noticed, for then the tag is another."""
        for _ in range(ATTEMPTS):
            seen = self._call("GET", key.owner, _week(key))
            positions = [position for position, line in enumerate(seen.json()["habits"]) if line["name"] == name]
            if not positions:
                raise LineMissing
            cells = {"marks": [{"position": positions[0], "day": day, "status": status}]}
            condition = {"If-Match": seen.headers["etag"]}
            reply = self._change("PATCH", key, f"{_week(key)}/marks", cells, condition)
            if reply.status != 412:
                return Answer(_served(_accepted(reply)))
        raise Failed("412")

    def close(self) -> None:
        self._disconnect()

    def _call(self, method: str, owner: UUID, path: str) -> _Reply:
        try:
            return _accepted(self._send(method, path, cookies=self._cookies[owner]))
        except (OSError, HTTPException) as error:
            raise Failed(type(error).__name__) from error

    def _change(self, method: str, key: BoardKey, path: str, content: Any, headers: dict[str, str]) -> _Reply:
        """Sent once more under the same idempotency key where the answer was lost: it is made once all the same."""
        cookies = self._cookies[key.owner]
        headers = {**headers, "X-CSRFToken": cookies["csrftoken"], "Idempotency-Key": str(uuid4())}
        body = json.dumps(content, ensure_ascii=False)
        try:
            try:
                return self._send(method, path, body, cookies=cookies, headers=headers)
            except (OSError, HTTPException):
                return self._send(method, path, body, cookies=cookies, headers=headers)
        except (OSError, HTTPException) as error:
            raise Failed(type(error).__name__) from error

    def _send(
        self,
        method: str,
        path: str,
        content: str = "",
        *,
        cookies: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = _JSON,
    ) -> _Reply:
        """One request on this thread's connection, which the server may have closed since the last one."""
        said = {"Cookie": "; ".join(f"{name}={value}" for name, value in (cookies or {}).items()), **(headers or {})}
        if content:
            said["Content-Type"] = content_type
        connection = self._connection()
        try:
            connection.request(method, path, content.encode(), said)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            self._disconnect()
            raise
        jar = SimpleCookie()
        for cookie in response.headers.get_all("Set-Cookie", []):
            jar.load(cookie)
        return _Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body, jar)

    def _connection(self) -> HTTPConnection:
        if getattr(self._mine, "connection", None) is None:
            self._mine.connection = HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        connection: HTTPConnection = self._mine.connection
        return connection

    def _disconnect(self) -> None:
        connection, self._mine.connection = getattr(self._mine, "connection", None), None
        if connection is not None:
            connection.close()


def _loopback(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        ours = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        ours = False
    if not ours or parts.scheme != "http" or parts.username or parts.path not in ("", "/"):
        raise UnusableInput(f"{url!r} is no address of this machine, such as http://127.0.0.1:8000.")
    return host, port


def _accepted(reply: _Reply) -> _Reply:
    if reply.status not in (200, 201):
        raise Failed(str(reply.status))
    return reply


def _child(key: BoardKey) -> str:
    return f"/api/children/{quote(key.child, safe='')}"


def _week(key: BoardKey) -> str:
    return f"{_child(key)}/weeks/{key.week_start.isoformat()}"


def _served(reply: _Reply) -> str:
    return reply.headers.get("x-served-from", "")


def _lines(board: Any) -> Seen:
    return [(line["name"], tuple(line["times"])) for line in board["habits"]]


def _value(reply: _Reply, cookie: str) -> str:
    return reply.cookies[cookie].value if cookie in reply.cookies else ""
