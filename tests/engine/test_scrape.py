"""Who may read `/metrics`, and what is answered when it cannot be read."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from migration_ops.definition import AnyMigration
from migration_ops.exposition import text
from tests.api.server import serving
from tests.engine.syncing import second_connection

TOKEN = "a-token-of-more-than-32-characters"
ELSEWHERE = "203.0.113.7"


def get(*, address: str = ELSEWHERE, method: str = "get", **headers: str) -> Any:
    client = Client(
        enforce_csrf_checks=True,
        REMOTE_ADDR=address,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    answer = getattr(client, method)("/metrics")
    assert answer["Cache-Control"] == "no-store"
    if answer.status_code >= 400:
        said = answer.content.decode()
        assert "migration_ops_" not in said
        assert TOKEN not in said
        assert "Traceback" not in said
    return answer


@pytest.fixture
def token(settings: Any) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


def test_it_is_the_text_format_and_nobody_keeps_it(notes: AnyMigration) -> None:
    answer = get(address="127.0.0.1")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert answer.content.startswith(b"# HELP migration_ops_stage ")
    assert answer.content.endswith(b"\n")


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), (ELSEWHERE, 403)])
def test_no_language_changes_it_and_none_is_named(notes: AnyMigration, address: str, status: int) -> None:
    answers = []
    for language in ("ko", "en"):
        assert Client(headers={"accept-language": language}).get("/accounts/login/")["Content-Language"] == language
        answers.append(get(address=address, accept_language=language))
    for answer in answers:
        assert answer.status_code == status
        assert "Content-Language" not in answer
        assert "accept-language" not in answer.get("Vary", "").lower()
    korean, english = (answer.content.decode() for answer in answers)
    changes = re.compile(r"^(?!#).*(?:_seconds|_total|_bucket|_count|_sum).*$", re.MULTILINE)
    assert changes.sub("", korean) == changes.sub("", english)
    assert korean.isascii()


def test_head_is_answered_like_get_and_nothing_else_is(notes: AnyMigration) -> None:
    answer = get(address="127.0.0.1", method="head")
    assert (answer.status_code, answer.content) == (200, b"")
    assert get(method="head").status_code == 403
    for method in ("post", "put", "patch", "delete"):
        refused = get(address="127.0.0.1", method=method)
        assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.parametrize("address", [ELSEWHERE, "127.0.0.1", ""])
def test_who_has_the_token_may_read_from_anywhere(notes: AnyMigration, token: str, scheme: str, address: str) -> None:
    assert get(address=address, authorization=f"{scheme} {token}", x_forwarded_for=ELSEWHERE).status_code == 200


@pytest.mark.parametrize("behind_proxy", [False, True])
@pytest.mark.parametrize("address", [ELSEWHERE, "127.0.0.1"])
@pytest.mark.parametrize(
    "said",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        "Bearer tökén",
        f"Bearer {TOKEN} {TOKEN}",
    ],
)
def test_who_has_not_is_told_so_on_this_machine_too(
    db: None, settings: Any, token: str, said: str, address: str, behind_proxy: bool
) -> None:
    settings.BEHIND_PROXY = behind_proxy
    answer = get(address=address, authorization=said)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith('Bearer realm="metrics"')


def test_the_token_in_the_address_is_no_token(db: None, token: str) -> None:
    answer = Client(REMOTE_ADDR="127.0.0.1").get(f"/metrics?token={token}&access_token={token}")
    assert answer.status_code == 401


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_a_process_of_this_machine_may_read(notes: AnyMigration, address: str) -> None:
    assert django_settings.METRICS_TOKEN == ""
    assert get(address=address).status_code == 200
    assert get(address=address, authorization="Bearer anything").status_code == 200


@pytest.mark.parametrize("address", [ELSEWHERE, "10.0.0.1", "2001:db8::1", "::ffff:203.0.113.7", "", "unix:", "1.2"])
@pytest.mark.parametrize("claim", [None, "127.0.0.1", "::1"])
def test_without_a_token_nobody_else_may_whatever_they_say(db: None, address: str, claim: str | None) -> None:
    said = {} if claim is None else {"x_forwarded_for": claim, "x_real_ip": claim, "forwarded": f"for={claim}"}
    answer = get(address=address, **said)
    assert answer.status_code == 403
    assert "METRICS_TOKEN" in answer.content.decode()
    assert "WWW-Authenticate" not in answer


@pytest.mark.parametrize("said", [{}, {"x_forwarded_for": "127.0.0.1"}, {"x_forwarded_for": ELSEWHERE}])
def test_behind_a_proxy_the_address_says_nothing(db: None, settings: Any, said: dict[str, str]) -> None:
    settings.BEHIND_PROXY = True
    answer = get(address="127.0.0.1", **said)
    assert (answer.status_code, answer.content.decode()) == (
        403,
        "Behind a proxy the metrics need a token. Set METRICS_TOKEN.\n",
    )


@pytest.mark.parametrize(
    "header", ["x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_real_ip", "forwarded", "via"]
)
def test_a_proxy_that_nobody_told_us_of_is_noticed(db: None, header: str) -> None:
    assert get(address="127.0.0.1", **{header: "127.0.0.1"}).status_code == 403


def test_tokens_are_compared_in_constant_time(db: None, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(
        "migration_ops.web.scrape_guard.constant_time_compare", lambda *both: bool(compared.append(both))
    )
    assert get(authorization=f"Bearer {token}").status_code == 401
    assert compared == [(token, token)]


def test_a_database_that_is_busy_for_too_long_is_a_503(notes: AnyMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PATIENCE", timedelta(milliseconds=100))
    with second_connection() as other:
        other.execute("LOCK TABLE migration_ops_dirtykey IN ACCESS EXCLUSIVE MODE")
        answer = get(address="127.0.0.1")
        other.rollback()
    assert answer.status_code == 503
    assert answer.content == b"The database does not answer, or not in time. The log says why.\n"
    assert get(address="127.0.0.1").status_code == 200


def test_without_a_database_the_server_says_so_and_nothing_else(db: None) -> None:
    with serving(workers=1, DATABASE_URL="postgres://app@127.0.0.1:1/app") as server:
        answer = server.send("GET", "/metrics", "nobody")
        head = server.send("HEAD", "/metrics", "nobody")
        forged = server.send("GET", "/metrics", "nobody", X_Forwarded_For="127.0.0.1")
    assert (answer.status, answer.body) == (503, b"The database does not answer, or not in time. The log says why.\n")
    assert answer.headers["Cache-Control"] == "no-store"
    assert (head.status, head.body) == (503, b"")
    assert forged.status == 403
