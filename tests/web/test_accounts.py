"""Accounts: in and out, new ones, forgotten passwords, and nobody learns who has one."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from habits.login_limits import LOGIN, MAIL, WINDOW, Attempt, TooManyAttempts
from habits.models import LoginAttempts, User
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.usefixtures("families")

WRONG = "do not belong together"
WAIT = "Too many attempts"


def log_in(client: Client, email: str, password: str = PASSWORD, address: str = "192.0.2.1") -> HttpResponse:
    return client.post("/accounts/login/", {"username": email, "password": password}, follow=True, REMOTE_ADDR=address)


def is_logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def link_in_mail() -> str:
    found = re.search(r"https?://testserver(/accounts/\S+)", mail.outbox[-1].body)
    assert found, mail.outbox[-1].body
    return found[1]


def test_whoever_is_not_logged_in_is_asked_to_and_goes_on_from_there(stranger: Client) -> None:
    wanted = "/children/%EB%8B%AC%EC%9D%B4/weeks/2025-07-21/"
    asked = stranger.get(wanted)
    assert asked.status_code == 302
    assert asked["Location"].startswith("/accounts/login/?next=/children/")
    sent = stranger.post(asked["Location"], {"username": "family@example.org", "password": PASSWORD, "next": wanted})
    assert sent["Location"] == wanted


def test_an_address_is_the_same_in_capitals(stranger: Client) -> None:
    log_in(stranger, "Family@Example.ORG")
    assert is_logged_in(stranger)


def test_two_accounts_that_differ_in_capitals_alone_are_told_apart(stranger: Client) -> None:
    User.objects.create_user("Family@example.org", "another quiet morning")
    log_in(stranger, "family@example.org")
    assert stranger.session["_auth_user_id"] == str(User.objects.get(email="family@example.org").pk)
    assert WRONG in log_in(Client(headers={"accept-language": "en"}), "FAMILY@example.org").content.decode()


def test_only_a_post_logs_out(client: Client) -> None:
    assert client.get("/accounts/logout/").status_code == 405
    assert is_logged_in(client)
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert not is_logged_in(client)


def test_after_so_many_wrong_passwords_the_right_one_does_not_help_from_there(stranger: Client) -> None:
    for _ in range(LOGIN.here):
        assert WRONG in log_in(stranger, "family@example.org", "wrong").content.decode()
    assert WAIT in log_in(stranger, "family@example.org").content.decode()
    assert not is_logged_in(stranger)
    log_in(stranger, "family@example.org", address="192.0.2.2")
    assert is_logged_in(stranger)


def test_an_account_that_does_not_exist_is_refused_in_the_same_words(stranger: Client) -> None:
    answers = {}
    for email in ("family@example.org", "nobody@example.org"):
        found = [log_in(stranger, email, "wrong").content.decode() for _ in range(LOGIN.here + 1)]
        answers[email] = [re.sub(r'value="[^"]*"', "", text) for text in found]
    assert answers["family@example.org"] == answers["nobody@example.org"]


def test_a_login_that_succeeds_forgets_the_failures_before_it(stranger: Client) -> None:
    for _ in range(2):
        for _ in range(LOGIN.here - 1):
            log_in(stranger, "family@example.org", "wrong")
        log_in(stranger, "family@example.org")
        assert is_logged_in(stranger)
        stranger.logout()


def test_the_limit_is_over_when_its_window_is(stranger: Client) -> None:
    for _ in range(LOGIN.here + 1):
        log_in(stranger, "family@example.org", "wrong")
    LoginAttempts.objects.update(window_ends=now())
    log_in(stranger, "family@example.org")
    assert is_logged_in(stranger)


def test_the_admins_own_login_has_the_limit_too(stranger: Client) -> None:
    User.objects.create_superuser("staff@example.org", PASSWORD)
    typed = {"username": "staff@example.org", "password": "wrong"}
    for _ in range(LOGIN.here):
        stranger.post("/admin/login/", typed)
    assert WAIT in stranger.post("/admin/login/", {**typed, "password": PASSWORD}).content.decode()
    assert not is_logged_in(stranger)


@pytest.mark.django_db(transaction=True)
def test_attempts_at_once_are_counted_one_by_one() -> None:
    attempt = Attempt("login", "family@example.org", "192.0.2.1")

    def admitted(_: int) -> bool:
        try:
            attempt.admit(LOGIN)
        except TooManyAttempts:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(admitted, range(40))) == LOGIN.here


def test_counts_whose_window_is_over_are_swept_away() -> None:
    for number in range(5):
        Attempt("login", f"{number}@example.org", f"192.0.2.{number}").admit(LOGIN)
    LoginAttempts.objects.update(window_ends=now() - WINDOW)
    Attempt("login", "family@example.org", "192.0.2.9").admit(LOGIN)
    assert LoginAttempts.objects.count() == 3


def test_signing_up_takes_a_mail_and_makes_a_family_that_is_no_staff(stranger: Client) -> None:
    sent = stranger.post("/accounts/sign-up/", {"email": "new@example.org", "password": PASSWORD}, follow=True)
    assert "Look into your mail" in sent.content.decode()
    assert not User.objects.filter(email="new@example.org").exists()

    link = link_in_mail()
    stranger.get(link)
    assert not User.objects.filter(email="new@example.org").exists()
    stranger.post(link, {"is_staff": "on", "is_superuser": "on"})

    user = User.objects.get(email="new@example.org")
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    assert user.check_password(PASSWORD)
    assert is_logged_in(stranger)


def test_a_link_opened_elsewhere_asks_for_a_password_and_takes_no_strangers_one(stranger: Client) -> None:
    stranger.post("/accounts/sign-up/", {"email": "new@example.org", "password": "the password of a stranger"})
    owner = Client()
    assert owner.post(link_in_mail()).status_code == 200
    assert not User.objects.filter(email="new@example.org").exists()
    owner.post(link_in_mail(), {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert User.objects.get(email="new@example.org").check_password(PASSWORD)


def test_signing_up_with_a_known_address_looks_the_same_and_changes_nothing(stranger: Client) -> None:
    answers = []
    for email in ("new@example.org", "Family@example.org"):
        typed = {"email": email, "password": "something else entirely"}
        answers.append(stranger.post("/accounts/sign-up/", typed, follow=True))
    assert [answer.redirect_chain for answer in answers] == [[("/accounts/sign-up/sent/", 302)]] * 2
    assert "You have one already" in mail.outbox[-1].body
    assert "sign-up" not in mail.outbox[-1].body
    assert User.objects.get(email="family@example.org").check_password(PASSWORD)


def test_a_link_that_was_changed_makes_no_account(stranger: Client) -> None:
    stranger.post("/accounts/sign-up/", {"email": "new@example.org", "password": PASSWORD})
    link = link_in_mail()
    assert stranger.post(f"{link[:-2]}x/").status_code == 410
    assert not User.objects.filter(email="new@example.org").exists()


def test_a_weak_password_is_refused_with_the_reason(stranger: Client) -> None:
    answer = stranger.post("/accounts/sign-up/", {"email": "new@example.org", "password": "12345678"})
    assert "too common" in answer.content.decode()
    assert mail.outbox == []


def test_mails_to_one_address_are_limited(stranger: Client) -> None:
    for _ in range(MAIL.here + 3):
        stranger.post("/accounts/password/reset/", {"email": "family@example.org"})
    assert len(mail.outbox) == MAIL.here


def test_a_forgotten_password_is_replaced_by_mail_also_where_there_was_none(stranger: Client) -> None:
    user = User.objects.get(email="family@example.org")
    user.set_unusable_password()
    user.save()
    known = stranger.post("/accounts/password/reset/", {"email": "family@example.org"}, follow=True)
    unknown = stranger.post("/accounts/password/reset/", {"email": "nobody@example.org"}, follow=True)
    assert known.redirect_chain == unknown.redirect_chain
    assert len(mail.outbox) == 1

    form = stranger.get(link_in_mail(), follow=True)
    stranger.post(form.request["PATH_INFO"], {"new_password1": "a new morning", "new_password2": "a new morning"})
    log_in(stranger, "family@example.org", "a new morning")
    assert is_logged_in(stranger)


def test_an_account_that_was_switched_off_gets_no_mail_and_no_way_in(stranger: Client) -> None:
    User.objects.filter(email="family@example.org").update(is_active=False)
    stranger.post("/accounts/password/reset/", {"email": "family@example.org"})
    assert mail.outbox == []
    assert WRONG in log_in(stranger, "family@example.org").content.decode()


def test_the_password_is_changed_by_who_knows_it(client: Client) -> None:
    new = {"new_password1": "a new morning", "new_password2": "a new morning"}
    client.post("/accounts/password/", {"old_password": "wrong", **new})
    assert User.objects.get(email="family@example.org").check_password(PASSWORD)
    assert client.post("/accounts/password/", {"old_password": PASSWORD, **new})["Location"] == "/"
    assert User.objects.get(email="family@example.org").check_password("a new morning")


def test_people_choose_their_language_for_themselves(client: Client) -> None:
    assert "로그아웃" in client.get("/").content.decode()
    client.post("/i18n/setlang/", {"language": "en"})
    assert "Log out" in client.get("/").content.decode()
