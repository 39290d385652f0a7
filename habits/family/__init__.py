"""What a family does with its boards: the services and selectors behind the API and the pages.

Everything is scoped by the owner: a child of another family does not exist here.
"""

from habits.family.changing import (
    Cell,
    Changed,
    Seen,
    Written,
    change,
    change_or_begin,
    delete,
    prepare,
    put,
    set_marks,
    tag,
)
from habits.family.contents import MOST_CHARACTERS, MOST_HABITS, Contents, Line, TooMuch
from habits.family.counting import DayCount, Stats, WeekStats, stats
from habits.family.keys import InvalidChildName, NoSuchBoard, NoSuchWeek, child_name, key_of
from habits.family.reading import (
    Children,
    ChildSummary,
    Held,
    OneBoard,
    WeekList,
    Weeks,
    board,
    children,
    week_list,
    weeks,
)

__all__ = [
    "MOST_CHARACTERS",
    "MOST_HABITS",
    "Cell",
    "Changed",
    "ChildSummary",
    "Children",
    "Contents",
    "DayCount",
    "Held",
    "InvalidChildName",
    "Line",
    "NoSuchBoard",
    "NoSuchWeek",
    "OneBoard",
    "Seen",
    "Stats",
    "TooMuch",
    "WeekList",
    "WeekStats",
    "Weeks",
    "Written",
    "board",
    "change",
    "change_or_begin",
    "child_name",
    "children",
    "delete",
    "key_of",
    "prepare",
    "put",
    "set_marks",
    "stats",
    "tag",
    "week_list",
    "weeks",
]
