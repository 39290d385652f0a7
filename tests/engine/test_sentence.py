"""Sentences: English wherever they are kept, logged or printed, and in the reader's language where a page says them."""

from __future__ import annotations

import copy
import json
from datetime import timedelta

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import translation

from migration_ops.exceptions import Refused, first_line
from migration_ops.gates import Gate, Verdict
from migration_ops.gates.wording import between, duration, spelled
from migration_ops.sentence import joined, said, said_many, translated
from tests.engine.korean import english_in, in_korean, numbers_in

FAILED = said("%(counted)s: with 95 %% confidence more than %(threshold)s do.", counted=said("none"), threshold="1 %")
ENGLISH, KOREAN = "none: with 95 % confidence more than 1 % do.", "없음: 95 % 신뢰도로 그 비율은 1 %보다 높습니다."


def test_a_sentence_is_english_in_strings_json_and_gates_whatever_language_is_active() -> None:
    gate = Gate(id="g", verdict=Verdict.FAIL, message=FAILED)
    with translation.override("ko"):
        assert f"{FAILED}" == str(FAILED) == ENGLISH
        assert str(gate) == f"g (fail): {ENGLISH}"
        assert json.loads(json.dumps(gate.as_dict(), cls=DjangoJSONEncoder))["message"] == ENGLISH
        assert translated(FAILED, translation) == KOREAN


@pytest.mark.parametrize(("count", "english"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_what_is_counted_has_the_plural_that_each_language_has_for_it(count: int, english: str) -> None:
    class Polish:
        """Has more plurals than English."""

        def gettext(self, message: str, /) -> str:
            return message

        def ngettext(self, singular: str, plural: str, number: int, /) -> str:
            return f"{singular}|{plural}|{number}: %(n)s"

    found = said_many("%(n)s row", "%(n)s rows", count, n=str(count))
    assert (found, copy.deepcopy(found)) == (english, english)
    for each in (found, copy.deepcopy(found)):
        assert translated(each, Polish()) == f"{count} row|{count} rows|{count}: {count}"


def test_copies_exceptions_and_gates_keep_what_a_sentence_is_made_of() -> None:
    kept = (
        copy.deepcopy(FAILED),
        Gate(id="g", verdict=Verdict.FAIL, message=FAILED).as_dict()["message"],
        str(Refused(FAILED)),
        first_line(Refused(FAILED)),
    )
    assert [(each, in_korean(each)) for each in kept] == [(ENGLISH, KOREAN)] * 4


def test_what_is_filled_in_or_joined_is_translated_and_what_is_no_sentence_is_not() -> None:
    both = joined((said("none"), "none", joined((said("no stage"), "50 %"))), by="; ")
    assert (both, in_korean(both)) == ("none; none; no stage 50 %", "없음; none; 없음 50 %")
    assert (joined(()), in_korean(joined(()))) == ("", "")


@pytest.mark.parametrize(
    ("error", "line", "korean"),
    [
        (ValueError(" one\ntwo"), "one", "one"),
        (ValueError(), "no message", "설명 없음"),
        (Refused(joined((FAILED, "more"), by="\n")), ENGLISH, ENGLISH),
    ],
)
def test_of_an_exception_the_first_line_is_quoted(error: Exception, line: str, korean: str) -> None:
    assert (first_line(error), in_korean(first_line(error))) == (line, korean)


@pytest.mark.parametrize(
    ("length", "korean"), [(0.25, "250 ms"), (90, "90초"), (3_600, "60분"), (36 * 3_600, "36시간"), (3 * 86_400, "3일")]
)
def test_durations_have_korean_units(length: float, korean: str) -> None:
    assert in_korean(duration(length)) == korean


@pytest.mark.parametrize(
    ("days", "english", "korean"),
    [(0, "1:30:00", "1:30:00"), (1, "1 day, 1:30:00", "1일 1:30:00"), (2, "2 days, 1:30:00", "2일 1:30:00")],
)
def test_a_setting_is_spelled_as_python_does_and_in_korean(days: int, english: str, korean: str) -> None:
    length = timedelta(days=days, hours=1, minutes=30)
    assert (spelled(length), str(length), in_korean(spelled(length))) == (english, english, korean)


@pytest.mark.parametrize("high", [0.0023, float("inf")])
def test_ranges_have_korean_words_and_the_same_numbers(high: float) -> None:
    korean = in_korean(between(0.0021, high))
    assert (english_in(korean), numbers_in(korean)) == ([], numbers_in(between(0.0021, high)))
