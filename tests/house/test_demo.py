"""`bin/demo`: everything from nothing, again without harm, and nothing left running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from config.demo.report import adds_up
from config.demo.services import TOO_OFTEN, Service, ServiceFailed, end_all
from config.embedded.daemon import alive, ended
from tests.house.conftest import PATIENCE, ROOT, House


def demo(house: House, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`bin/demo` with its output in pipes: returns only when nobody holds them any more."""
    return subprocess.run(
        [ROOT / "bin" / "demo", *arguments],
        env=house.environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE,
    )


def figure(output: str, label: str) -> int:
    found = re.search(rf"│ {label} +│ +([\d,]+) │", output)
    assert found, f"no {label!r} in {output}"
    return int(found[1].replace(",", ""))


def children_of(site: str, email: str, password: str) -> list[str]:
    """Where the account's children are, for whoever logs in with what the demo printed."""
    browser = build_opener(HTTPCookieProcessor())
    form = browser.open(f"{site}/accounts/login/", timeout=PATIENCE).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    typed = {"csrfmiddlewaretoken": token[1], "username": email, "password": password}
    page = browser.open(f"{site}/accounts/login/", urlencode(typed).encode(), timeout=PATIENCE)
    assert page.url == f"{site}/"
    return re.findall(r'href="(/children/[^"]+)"', page.read().decode())


def test_messy_rows_are_migrated_and_a_second_demo_finds_them_unchanged(house: House) -> None:
    catalogue = ROOT / "locale" / "ko" / "LC_MESSAGES" / "django.mo"
    os.utime(catalogue, (0, 0))
    first = demo(house, "--exit", "--rows", "60")
    assert first.returncode == 0, first.stderr
    assert catalogue.stat().st_mtime > 0, "pages would be in English for whoever reads Korean"
    written = figure(first.stdout, "boards written")
    merged = figure(first.stdout, "rows merged into the board of another row")
    quarantined = figure(first.stdout, "rows in quarantine")
    assert written + merged + quarantined == figure(first.stdout, "= rows read") == 60
    assert figure(first.stdout, "marks in legacy") == figure(first.stdout, "equal marks") > 0
    assert house.postgres.pid() is None
    assert house.redis.pid() is None

    second = demo(house, "--exit", "--rows", "60")
    assert second.returncode == 0, second.stderr
    assert figure(second.stdout, "boards written") == 0
    assert figure(second.stdout, "boards that were there already") == written
    assert figure(second.stdout, "rows in quarantine") == quarantined


def test_a_demo_that_finds_the_stores_unequal_shows_in_what_and_says_what_to_do(house: House) -> None:
    assert demo(house, "--exit", "--rows", "60").returncode == 0
    broken = house.manage(
        "shell",
        "-v",
        "0",
        "-c",
        "from django.db import connection\n"
        "connection.cursor().execute("
        "'DELETE FROM weeks WHERE id = (SELECT week_id FROM habits ORDER BY week_id LIMIT 1)')",
    )
    assert broken.returncode == 0, broken.stderr

    again = demo(house, "--exit", "--rows", "60")

    assert again.returncode == 5
    assert figure(again.stdout, "boards written") == 1, "the backfill writes the week again, beside what was left of it"
    assert "modern rows belong to none of the boards" in again.stdout
    assert "`manage.py validate_migration` ended with exit code 5: the two stores are not equal" in again.stderr
    assert "docs/howto/repair.md" in again.stderr


def test_a_file_that_was_given_is_migrated_as_it_is(house: House, tmp_path: Path) -> None:
    source = tmp_path / "habits.ndjson"
    source.write_text(
        '{"id": 1, "child_name": "하나", "week_period": "2025년 7월 21일 ~ 2025년 7월 27일",'
        ' "user_id": "0b6ee6e2-6bdc-4f8b-8f0f-27a4a9f4f3f1", "habits": [{"id": 1, "name": "책 읽기",'
        ' "times": ["green", "", "red", "", "", "", ""]}]}\n',
        encoding="utf-8",
    )
    before = source.read_bytes()

    done = demo(house, "--exit", LEGACY_BACKEND="json", LEGACY_JSON_PATH=str(source))

    assert done.returncode == 0, done.stderr
    assert figure(done.stdout, "boards written") == 1
    assert figure(done.stdout, "equal marks") == 2
    assert source.read_bytes() == before


def test_it_serves_until_it_is_told_to_end_and_leaves_nothing_running(house: House, free_port: int) -> None:
    command = [ROOT / "bin" / "demo", "--rows", "200", "--port", str(free_port)]
    process = subprocess.Popen(command, env=house.environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        seen = []
        for text in process.stdout:
            seen.append(text)
            if "Ctrl-C ends everything" in text:
                break
        assert process.poll() is None, "".join(seen)
        with socket.create_connection(("127.0.0.1", free_port)) as client:
            client.sendall(b"GET /admin/login/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert client.recv(12).endswith(b"200")
        accounts = re.findall(r"log in as (\S+) with (\S+)", "".join(seen))
        assert [email for email, _ in accounts] == ["admin@example.com", "family@example.com", "family2@example.com"]
        children = [children_of(f"http://127.0.0.1:{free_port}", email, password) for email, password in accounts]
        assert children[1]
        assert children[2]
        assert children[1] != children[2]
        postgres, redis = house.postgres.pid(), house.redis.pid()
        assert postgres
        assert redis
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, rest
    assert not alive(postgres)
    assert not alive(redis)
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", free_port)) != 0


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rows", "0"], "'0' is no number of rows; write 1 or more"),
        (["--rows", "many"], "'many' is no number of rows; write 1 or more"),
        (["--port", "70000"], "'70000' is no port; write 1 to 65535"),
        (["--exit", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(house: House, arguments: list[str], sentence: str) -> None:
    done = demo(house, *arguments)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert not house.var.exists()


def test_a_port_that_is_taken_is_refused_at_once(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = demo(house, "--port", str(taken.getsockname()[1]))

    assert done.returncode == 2
    assert "is taken; choose another with --port" in done.stderr


def test_a_command_that_fails_ends_the_demo_with_its_exit_code(house: House, tmp_path: Path) -> None:
    source = tmp_path / "truncated.json"
    source.write_text('{"records": [{"id": 1, "child_na')

    done = demo(house, "--exit", LEGACY_BACKEND="json", LEGACY_JSON_PATH=str(source))

    assert done.returncode == 2
    assert "The demo ended: `manage.py" in done.stderr
    assert house.postgres.pid() is None


def test_counts_that_do_not_add_up_are_noticed() -> None:
    counts = {"rows_read": 10, "boards_written": 5, "boards_unchanged": 2, "boards_merged": 2, "rows_quarantined": 1}

    assert adds_up(counts)
    assert not adds_up({**counts, "rows_quarantined": 0})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service("sleeper", [sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "sleeper.log")
    service.start()
    yield service
    end_all([service])


def test_a_service_that_died_is_started_again(service: Service) -> None:
    assert service.process
    first = service.process.pid
    service.keep_running()
    assert service.process.pid == first

    os.kill(first, signal.SIGKILL)
    assert ended(first, timedelta(seconds=PATIENCE))
    service.keep_running()

    assert service.process.pid != first


def test_a_service_that_keeps_dying_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    service = Service("failure", [sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "failure.log")
    service.start()

    for _ in range(TOO_OFTEN - 1):
        _wait_for_its_end(service)
        service.keep_running()
    _wait_for_its_end(service)

    with pytest.raises(ServiceFailed, match="no such thing"):
        service.keep_running()


def _wait_for_its_end(service: Service) -> None:
    assert service.process
    service.process.wait(PATIENCE)
