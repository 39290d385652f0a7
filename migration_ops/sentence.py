"""Sentences that are English for whoever keeps, logs or prints them, and that pages can say in another language; pure.

The engine speaks English: what it writes into the history, into JSON or to a terminal is the same wherever it runs. A
page says the same sentence in the language of whoever looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class Sentence(str):
    """An English text that remembers what it was made of.

    It is a `str` like any other, and stays one in f-strings, JSON and the database. `str(…)` leaves it what it is, as
    Django's `SafeString` does, so that the words of an exception can still be said in another language.

    Args:
        msgid: the English text for gettext, with `%(name)s` for what is filled in, and `%%` for a per cent sign.
        values: what is filled in; sentences among them are translated as well.
    """

    __slots__ = ("_msgid", "_values")

    _msgid: str
    _values: Mapping[str, str]

    def __new__(cls, msgid: str, values: Mapping[str, str]) -> Sentence:
        made = super().__new__(cls, msgid % values)
        made._msgid, made._values = msgid, values
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, str]]:  # type: ignore[override]  # for copies
        return self._msgid, self._values

    def __str__(self) -> str:
        return self

    def translated(self, translate: Callable[[str], str]) -> str:
        """The same in the language of `translate`, which is gettext."""
        return translate(self._msgid) % {name: translated(value, translate) for name, value in self._values.items()}


def said(msgid: str, /, **values: str) -> Sentence:
    """The sentence; its msgid is collected for translation, so it is written out where this is called."""
    return Sentence(msgid, values)


def word(text: str) -> Sentence:
    """A word that is declared for translation elsewhere, such as a stage or the status of a run."""
    return Sentence(text.replace("%", "%%"), {})


def joined(parts: Iterable[str], by: str = " ") -> Sentence:
    """Several texts one after another; no catalogue knows the frame, which is the same in every language."""
    values = {f"part{number}": part for number, part in enumerate(parts)}
    return Sentence(by.join(f"%({name})s" for name in values), values)


def translated(text: str, translate: Callable[[str], str]) -> str:
    """The text in the language of `translate` if it is a `Sentence`; otherwise as it is."""
    return text.translated(translate) if isinstance(text, Sentence) else text
