"""The settings: every value that cannot be used is refused with a sentence, and what is unset is safe."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys

import pytest

from tests.house.conftest import PATIENCE, ROOT, House

REFUSED = [
    ({"LEGACY_BACKEND": "xml"}, "LEGACY_BACKEND='xml' is unknown. Write one of: json, table, or leave it empty."),
    ({"LEGACY_BACKEND": "json"}, "LEGACY_BACKEND=json needs LEGACY_JSON_PATH, the path of the legacy file."),
    (
        {"LEGACY_BACKEND": "json", "LEGACY_JSON_PATH": "/"},
        "LEGACY_JSON_PATH='/' is a directory. Write the path of the legacy file.",
    ),
    (
        {"DATA_BACKEND": "new"},
        "DATA_BACKEND='new' is unknown. Write one of: json, legacy, modern, postgres, or leave it empty.",
    ),
    ({"DUAL_WRITE": "perhaps"}, "DUAL_WRITE='perhaps' is neither true nor false."),
    ({"DEBUG": "2"}, "DEBUG='2' is neither true nor false."),
    (
        {"DATABASE_URL": "mysql://root@localhost/habits"},
        "DATABASE_URL names a database of the kind 'mysql', and this product needs PostgreSQL."
        " Write postgres://user:password@host:port/database.",
    ),
    ({"REDIS_URL": "localhost:6379"}, "REDIS_URL='localhost:6379' is no Redis address. Write redis://host:port/0."),
    ({"SLACK_WEBHOOK_URL": "#alerts"}, "SLACK_WEBHOOK_URL is no web address. Write https://… or leave it empty."),
    ({"TIME_ZONE": "Asia/Soul"}, "TIME_ZONE='Asia/Soul' is no time zone. Write one such as Asia/Seoul."),
    ({"LANGUAGE_CODE": "fr"}, "LANGUAGE_CODE='fr' is unknown. Write one of: en, ko, or leave it empty."),
    (
        {"LOG_LEVEL": "loud"},
        "LOG_LEVEL='loud' is unknown. Write one of: debug, error, info, warning, or leave it empty.",
    ),
    (
        {"METRICS_TOKEN": "two words"},
        "METRICS_TOKEN must be letters, digits and - . _ ~ + / alone, as a header takes them.",
    ),
    ({"CONN_MAX_AGE": "-1"}, "CONN_MAX_AGE='-1' is not a whole number."),
]


@pytest.mark.parametrize(("variables", "sentence"), REFUSED, ids=[next(iter(reversed(case[0]))) for case in REFUSED])
def test_a_value_that_cannot_be_used_is_refused_with_a_sentence(
    house: House, variables: dict[str, str], sentence: str
) -> None:
    done = house.manage("check", **variables)

    assert (done.returncode, done.stderr, done.stdout) == (2, f"{sentence}\n", "")


def test_with_json_the_refusal_is_one_object_too(house: House) -> None:
    done = house.manage("embedded", "--json", DUAL_WRITE="perhaps")

    assert done.returncode == 2
    assert json.loads(done.stdout) == {"error": "DUAL_WRITE='perhaps' is neither true nor false."}


def test_a_password_in_an_address_that_cannot_be_read_is_not_shown(house: House) -> None:
    done = house.manage("check", DATABASE_URL="postgres://app:s3cret@host:port/app")

    assert done.returncode == 2
    assert done.stderr.startswith("DATABASE_URL cannot be read")
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    ("word", "pin"), [("", ""), ("legacy", "legacy"), ("json", "legacy"), ("modern", "modern"), ("Postgres", "modern")]
)
def test_the_pin_of_all_reads_knows_the_stores_by_both_their_names(house: House, word: str, pin: str) -> None:
    assert house.setting("DATA_BACKEND", DATA_BACKEND=word) == pin


@pytest.mark.parametrize(("word", "value"), [("", None), ("false", False), ("off", False), ("true", True)])
def test_dual_write_is_left_to_the_stage_unless_it_is_switched(house: House, word: str, value: bool | None) -> None:
    assert house.setting("DUAL_WRITE", DUAL_WRITE=word) is value


def test_valkey_is_reached_like_redis(house: House) -> None:
    assert house.setting("REDIS_URL", REDIS_URL="valkey://cache:6379/1") == "redis://cache:6379/1"


def test_debug_is_off_and_only_this_machine_is_answered(house: House) -> None:
    assert house.setting("DEBUG") is False
    assert house.setting("ALLOWED_HOSTS") == ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize(
    ("hosts", "https", "secure"),
    [
        ("", "", False),
        ("localhost,127.0.0.1", "", False),
        ("*", "", False),
        ("habits.example.org", "", True),
        ("localhost,habits.example.org", "", True),
        ("habits.example.org", "false", False),
        ("*", "true", True),
    ],
)
def test_a_site_with_a_name_of_its_own_insists_on_https(house: House, hosts: str, https: str, secure: bool) -> None:
    for setting in ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        assert house.setting(setting, ALLOWED_HOSTS=hosts, HTTPS=https) is secure
    assert (house.setting("SECURE_HSTS_SECONDS", ALLOWED_HOSTS=hosts, HTTPS=https) > 0) is secure


def test_a_deployed_site_passes_every_check_of_django(house: House) -> None:
    done = house.manage("check", "--deploy", "--fail-level", "WARNING", ALLOWED_HOSTS="habits.example.org")

    assert done.returncode == 0, done.stderr


def test_the_secret_key_is_made_once_and_is_its_owners_alone(house: House) -> None:
    first = house.setting("SECRET_KEY")
    second = house.setting("SECRET_KEY")

    kept = house.var / "secret_key"
    assert first == second == kept.read_text().strip()
    assert len(first) >= 50
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in house.var.glob("secret_key*")] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_one_secret_key(house: House) -> None:
    command = [sys.executable, "-c", "from config import settings; print(settings.SECRET_KEY)"]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=house.environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]

    assert len({process.communicate(timeout=PATIENCE)[0] for process in processes}) == 1


def test_a_secret_key_that_was_given_is_not_written_down(house: House) -> None:
    assert house.setting("SECRET_KEY", SECRET_KEY="given") == "given"
    assert not (house.var / "secret_key").exists()


def test_every_variable_is_explained_in_the_example_file() -> None:
    settings = (ROOT / "config" / "settings.py").read_text()
    read = set(re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', settings))
    explained = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert set(explained) == read
    assert len(explained) == len(set(explained))
