"""A made-up legacy data set, the same for the same seed: clean, or with everything real data of this kind contains.

Pure. Statistically like real data: families of one to three children, a board a week and child, some seven habits, more
marks in some weeks than in others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID

from habits.seed_mess import Mess
from habits.stores.legacy_changes import week_period

Record = dict[str, Any]

FIRST_WEEK = date(2024, 1, 1)
ROWS_A_CHILD = 40
BULK_UPDATE = "2025-10-12T08:03:26.395527+00:00"
"""When somebody filled in the owners and the trigger touched every row."""

_SURNAMES = tuple("김이박최정강조윤장임한오서신권황안송홍문")
_FIRST = tuple("서지하도민예시유수은현태건라채연아준나소")
_SECOND = tuple("준윤우연아은서호린율진현나온솔별하빈유원")
_BANDS = ("아침 (6-9시)", "오전 (9-12시)", "점심 (12-1시)", "오후 (1-5시)", "저녁 (6-9시)", "밤 (9-10시)")
_TASKS = (
    "양치하기",
    "스스로 일어나기",
    "책 읽기",
    "일기 쓰기",
    "숙제",
    "방 정리",
    "물 마시기",
    "피아노 연습(30분)",
    "영어 듣기(20분)",
    "줄넘기",
    "인사 잘하기",
    "운동",
    "이불 개기",
    "식사 후 그릇 치우기",
    "수학 문제집 2쪽",
    "강아지 산책",
)
_THEMES = ("성장하는 나", "매일매일 습관 형성", "주간 목표 달성", "꾸준함의 힘", "")
_REWARDS = ("아이스크림 🍦\n영화 보기 🎬", "새 책", "놀이공원", "보드게임 한 판", "")
_BEST_DAYS = ("", "", "월요일", "수요일", "토요일")
_GOALS = ("", "", "더 일찍 자기", "책 두 권 읽기")
_STATUSES = ("", "green", "yellow", "red")
_EAGERNESS = ((0.1, 0.75, 0.12, 0.03), (0.4, 0.48, 0.1, 0.02), (0.7, 0.24, 0.05, 0.01), (0.97, 0.02, 0.01, 0.0))


@dataclass(slots=True)
class Child:
    """Somebody whose weeks are written down.

    Attributes:
        starts: weekdays on which this child's weeks may begin; two children of one name have none in common, for the
            table has one row a name and period.
    """

    owner: UUID
    name: str
    starts: tuple[int, ...]
    tasks: list[str]


@dataclass(frozen=True)
class DataSet:
    """What to make up.

    Attributes:
        rows: how many rows, exactly.
        seed: decides everything else.
        messy: whether it has the faults of real data; a clean set can be migrated row by row.
    """

    rows: int
    seed: int
    messy: bool = False

    def children(self) -> list[Child]:
        """Who has rows in it, by family."""
        random = self._random("children")
        wanted = min(self.rows, max(1, self.rows // ROWS_A_CHILD))
        children: list[Child] = []
        names: set[str] = set()
        while len(children) < wanted:
            owner = UUID(int=random.getrandbits(128), version=4)
            for _ in range(min(random.choice((1, 1, 2, 2, 3)), wanted - len(children))):
                shared = self.messy and len(children) > 1 and random.random() < 0.05
                name = random.choice(children).name if shared else self._new_name(random, names)
                starts = (1, 3, 5) if shared else (0, 2, 4, 6)
                if shared and any(child.name == name and child.starts == starts for child in children):
                    name, starts = self._new_name(random, names), (0, 2, 4, 6)
                children.append(Child(owner, name, starts, random.sample(_TASKS, random.choice((5, 6, 7, 7, 7, 8, 9)))))
        return children

    @property
    def owners(self) -> int:
        """How many families there are."""
        return len({child.owner for child in self.children()})

    def records(self) -> Iterator[Record]:
        """Every row in the order of the ids, as a week after another was saved."""
        random = self._random("records")
        mess = Mess(self._random("mess")) if self.messy else None
        children = self.children()
        number, made, week = 0, 0, 0
        while made < self.rows:
            monday = FIRST_WEEK + timedelta(weeks=week)
            for record in self._week(random, mess, children, monday):
                number += 1 if mess is None else mess.step()
                record["id"] = number
                if mess is not None:
                    mess.spoil(record)
                yield record
                made += 1
                if made == self.rows:
                    return
            week += 1

    def _week(self, random: Random, mess: Mess | None, children: list[Child], monday: date) -> Iterator[Record]:
        for child in children:
            if monday > FIRST_WEEK and random.random() < 0.15:
                continue
            if random.random() < 0.1:
                child_tasks = child.tasks
                first, second = random.randrange(len(child_tasks)), random.randrange(len(child_tasks))
                child_tasks[first], child_tasks[second] = child_tasks[second], child_tasks[first]
            if mess is None:
                yield self._record(random, child, monday)
            else:
                start = monday + timedelta(days=mess.start(child.starts))
                yield from mess.again(self._record(random, child, start), monday, child.starts)
        if mess is not None:
            yield from mess.late()

    def _record(self, random: Random, child: Child, start: date) -> Record:
        eagerness = random.choice(_EAGERNESS[:3]) if random.random() < 0.97 else _EAGERNESS[3]
        saved = datetime.combine(start, time(12), UTC) + timedelta(microseconds=random.randrange(10**6))
        return {
            "id": 0,
            "child_name": child.name,
            "week_period": week_period(start, start + timedelta(days=6)),
            "theme": random.choice(_THEMES),
            "habits": [
                {
                    "id": position + 1 if random.random() < 0.8 else int(saved.timestamp() * 1000) + position,
                    "name": f"{_BANDS[position]} {task}" if position < 5 else task,
                    "times": random.choices(_STATUSES, eagerness, k=7),
                }
                for position, task in enumerate(child.tasks)
            ],
            "reflection": {
                "bestDay": random.choice(_BEST_DAYS),
                "easiestHabit": child.tasks[0] if random.random() < 0.1 else "",
                "nextWeekGoal": random.choice(_GOALS),
            },
            "reward": random.choice(_REWARDS),
            "created_at": saved.isoformat(),
            "updated_at": BULK_UPDATE if self.messy else saved.isoformat(),
            "week_start_date": start.isoformat(),
            "user_id": str(child.owner),
        }

    def _new_name(self, random: Random, names: set[str]) -> str:
        name = random.choice(_SURNAMES) + random.choice(_FIRST) + random.choice(_SECOND)
        unique, number = name, 1
        while unique in names:
            number += 1
            unique = f"{name}{number}"
        names.add(unique)
        return unique

    def _random(self, part: str) -> Random:
        return Random(f"{part}:{self.seed}:{self.rows}:{self.messy}")  # noqa: S311 made-up data, no secret
