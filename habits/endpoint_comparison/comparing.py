"""Both stores' answers to one call, seen at one moment, again and again for a sample of families."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random

from habits.board import BoardKey
from habits.endpoint_comparison.asking import Answer, ask
from habits.endpoint_comparison.calls import Call, calls_of
from habits.endpoint_comparison.differing import Place, places
from habits.endpoint_comparison.report import Report
from habits.migration import boards as migration
from habits.models import Child, User
from habits.owners import legacy_owners
from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import Side
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import DirtyKey
from migration_ops.preparation import prepare
from migration_ops.rollout import reading
from migration_ops.rollout.pinning import pinned
from migration_ops.stages import Stage
from migration_ops.sync import dirty
from migration_ops.verify.recheck import pauses
from migration_ops.verify.snapshot import snapshot


@dataclass(frozen=True, slots=True)
class _Question:
    user: User
    call: Call


@dataclass(frozen=True, slots=True)
class _Pair:
    """What both stores answer at one moment.

    Attributes:
        places: where the answers differ.
        excuses: the boards because of which they may differ, or come from the other store.
    """

    answers: dict[Side, Answer]
    places: Sequence[Place] = ()
    excuses: frozenset[BoardKey] = frozenset()

    @property
    def is_suspect(self) -> bool:
        return bool(self.places) and not self.excuses

    def add_to(self, report: Report, call: Call) -> None:
        if self.excuses:
            report.add_excepted(call, self.excuses)
        elif self.places:
            report.add_different(call, self.places)
        else:
            report.add_equal(call, {side: answer.seconds for side, answer in self.answers.items()})


def compare(
    report: Report, *, families: int, repeat: int, seed: int, wait: Callable[[float], None] = time.sleep
) -> None:
    """Ask every call of a sample of families from both stores, and put what comes of it into `report`.

    Each pair is asked in random order in one snapshot, so that a write that goes on beside it is seen by both or by
    neither. A legacy file is in no snapshot, and what is written past the app takes a moment to be noticed; so answers
    that differ are looked at again in the end, as validation does it, and only what still differs is a difference.

    Args:
        report: to be filled; when something goes wrong, what is in it was found so far.
        families: at most so many, chosen by the seed among those that have an account and boards.
        repeat: how often each call is asked.

    Raises:
        Refused: the stores are not kept in step at the present stage.
        UnusableInput: there is no family.
        Unreadable: this database role may not see everything.
    """
    stage = state.stage(migration)
    if not Stage.DUAL_WRITE.position <= stage.position <= Stage.LIVE.position:
        raise Refused(f"At the stage {stage} only one store is kept up to date, so there is nothing to compare.")
    chance = Random(seed)  # noqa: S311 - a choice, no secret
    prepare(migration.legacy())
    questions = _questions(families, chance)
    report.families = len({question.user.pk for question in questions})
    for question in {question.call.endpoint: question for question in questions}.values():
        _pair(question, chance)  # the first time, modules are imported and a connection is made
    suspects: Counter[_Question] = Counter()
    for _ in range(repeat):
        chance.shuffle(questions)
        for question in questions:
            pair = _pair(question, chance)
            if pair.is_suspect:
                suspects[question] += 1
            else:
                pair.add_to(report, question.call)
    if suspects:
        _settle(suspects, report, chance, wait)


def _settle(suspects: Counter[_Question], report: Report, chance: Random, wait: Callable[[float], None]) -> None:
    """Look at suspects again until nothing is wrong with them or patience is at its end."""
    limits = settings()
    patience = limits.suspect_patience.total_seconds()
    started = time.monotonic()
    for pause in pauses(limits.suspect_rounds, patience):
        if time.monotonic() - started > patience:
            break
        wait(pause)
        for question in list(suspects):
            pair = _pair(question, chance)
            if not pair.is_suspect:
                for _ in range(suspects.pop(question)):
                    pair.add_to(report, question.call)
        if not suspects:
            return
    for question, times in suspects.items():
        pair = _pair(question, chance)
        for _ in range(times):
            pair.add_to(report, question.call)


def _pair(question: _Question, chance: Random) -> _Pair:
    call = question.call
    order = list(Side)
    chance.shuffle(order)
    with snapshot():
        answers = {side: ask(question.user, call, side) for side in order}
        found = places(answers[Side.LEGACY], answers[Side.MODERN])
        as_asked = all(answer.served == side for side, answer in answers.items())
        if as_asked and not found:
            return _Pair(answers)
        excuses = frozenset(key for key in _waiting(call) if call.tells_of(key))
    if not excuses and not as_asked and any(answer.served for answer in answers.values()):
        found = [*found, Place("X-Served-From", answers[Side.LEGACY].served, answers[Side.MODERN].served)]
    return _Pair(answers, found, excuses)


def _waiting(call: Call) -> set[BoardKey]:
    """Boards of this family that wait to be carried over, or of which a row waits for a person.

    Legacy rows that are new, or have moved to another board, are on the list before the lineage knows whose they are.
    """
    rows = DirtyKey.objects.filter(migration=migration.name, side=Side.LEGACY.value, row__isnull=False)
    found = migration.legacy().keys_of({str(row) for row in rows.values_list("row", flat=True)})
    return _exceptional(str(call.owner)) | {key for key in found.values() if key is not None}


def _exceptional(owner: str) -> set[BoardKey]:
    return {migration.decode_key(key) for key in dirty.exceptional(migration, migration.unit_prefix(owner))}


def _questions(families: int, chance: Random) -> list[_Question]:
    """Every call of so many families."""
    questions: list[_Question] = []
    for user, keys in islice(_families(chance), families):
        questions += [_Question(user, call) for call in calls_of(user.pk, keys)]
    if not questions:
        raise UnusableInput("No family has an account and a board; `import_owners --from-legacy` makes the accounts.")
    return questions


def _families(chance: Random) -> Iterator[tuple[User, set[BoardKey]]]:
    """Families that have an account and boards, in random order, with the boards that either store has or that wait."""
    owners = sorted({*legacy_owners(), *Child.objects.values_list("user_id", flat=True).distinct()})
    chance.shuffle(owners)
    for owner in owners:
        user = User.objects.filter(pk=owner).first()
        if user is None:
            continue
        keys = _exceptional(str(owner))
        for side in Side:
            with pinned(side):
                keys |= reading.keys(migration, str(owner))
        if keys:
            yield user, keys
