"""Conditional requests (RFC 9110): not to load what one has, and not to write over what one has not seen."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.http import parse_etags

from habits.api import problems
from habits.api.problems import ProblemRaised

ANY = "*"


@dataclass(frozen=True, slots=True)
class Condition:
    """On what a change depends, in the words of `habits.family`.

    Attributes:
        seen: tags of boards of which it has to be one; None where the client does not say.
        must_exist: whether there has to be one, or must be none; None where both will do.
    """

    seen: frozenset[str] | None = None
    must_exist: bool | None = None


def quoted(tag: str) -> str:
    return f'"{tag}"'


def condition(request: HttpRequest) -> Condition:
    """What `If-Match` and `If-None-Match` ask for. A tag that is weak or unreadable matches nothing.

    Raises:
        ProblemRaised: 400 for tags in `If-None-Match`, which nobody could mean with a change.
    """
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if none_match is not None and none_match.strip() != ANY:
        raise ProblemRaised(problems.ONLY_ANY)
    if match is None:
        return Condition(must_exist=None if none_match is None else False)
    if match.strip() == ANY:
        if none_match is not None:
            return Condition(seen=frozenset(), must_exist=False)
        return Condition(must_exist=True)
    tags = frozenset(tag.strip('"') for tag in parse_etags(match))  # a weak one keeps its `W/`, and so matches nothing
    return Condition(seen=tags, must_exist=None if none_match is None else False)


def is_known(request: HttpRequest, tag: str) -> bool:
    """Whether the client has this already and need not be sent it again."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    tags = parse_etags(header)
    return tags == [ANY] or quoted(tag) in {known.removeprefix("W/") for known in tags}
