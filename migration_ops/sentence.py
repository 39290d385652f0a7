"""Sentences that are English for whoever keeps, logs or prints them, and that pages can say in another language; pure.

The engine speaks English: what it writes into the history, into JSON or to a terminal is the same wherever it runs. A
page says the same sentence in the language of whoever looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol


class Language(Protocol):
    """What says texts in a language, as `django.utils.translation` and the translations of Python's `gettext` do."""

    def gettext(self, message: str, /) -> str: ...

    def ngettext(self, singular: str, plural: str, number: int, /) -> str: ...


class Sentence(str):
    """An English text that remembers what it was made of.

    It is a `str` like any other, and stays one in f-strings, JSON and the database. `str(…)` leaves it what it is, as
    Django's `SafeString` does, so that the words of an exception can still be said in another language.

    Args:
        msgid: the English text for gettext, with `%(name)s` for what is filled in, and `%%` for a per cent sign.
        values: what is filled in; sentences among them are translated as well.
        plural: the English text for any other count than one; "" where nothing is counted.
        count: how many it speaks of.
    """

    __slots__ = ("_count", "_msgid", "_plural", "_values")

    _msgid: str
    _values: Mapping[str, str]
    _plural: str
    _count: int

    def __new__(cls, msgid: str, values: Mapping[str, str], plural: str = "", count: int = 1) -> Sentence:
        made = super().__new__(cls, (plural if plural and count != 1 else msgid) % values)
        made._msgid, made._values, made._plural, made._count = msgid, values, plural, count
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, str], str, int]:  # type: ignore[override]  # for copies
        return self._msgid, self._values, self._plural, self._count

    def __str__(self) -> str:
        return self

    def translated(self, language: Language) -> str:
        """The same in this language, with the plural that it has for the count."""
        if self._plural:
            frame = language.ngettext(self._msgid, self._plural, self._count)
        else:
            frame = language.gettext(self._msgid)
        return frame % {name: translated(value, language) for name, value in self._values.items()}


def said(msgid: str, /, **values: str) -> Sentence:
    """The sentence; its msgid is collected for translation, so it is written out where this is called."""
    return Sentence(msgid, values)


def said_many(one: str, many: str, count: int, /, **values: str) -> Sentence:
    """The sentence about so many of something; both msgids are written out where this is called."""
    return Sentence(one, values, many, count)


def word(text: str) -> Sentence:
    """A word that is declared for translation elsewhere, such as a stage or the status of a run."""
    return Sentence(text.replace("%", "%%"), {})


def joined(parts: Iterable[str], by: str = " ") -> Sentence:
    """Several texts one after another; no catalogue knows the frame, which is the same in every language."""
    values = {f"part{number}": part for number, part in enumerate(parts)}
    return Sentence(by.join(f"%({name})s" for name in values), values)


def translated(text: str, language: Language) -> str:
    """The text in this language if it is a `Sentence`; otherwise as it is."""
    return text.translated(language) if isinstance(text, Sentence) else text
