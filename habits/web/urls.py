"""Addresses of the families' pages."""

from django.urls import path, register_converter

from habits.web import board_changes, boards, children
from habits.web.converters import ChildName, Day

register_converter(ChildName, "child")
register_converter(Day, "day")

WEEK = "children/<child:name>/weeks/<day:day>/"

urlpatterns = [
    path("", children.children, name="children"),
    path(WEEK, boards.week, name="week"),
    path(f"{WEEK}new/", boards.make, name="week_make"),
    path(f"{WEEK}delete/", boards.delete, name="week_delete"),
    path(f"{WEEK}marks/", board_changes.marks, name="marks"),
    path(f"{WEEK}fill/", board_changes.fill, name="fill"),
    path(f"{WEEK}words/", board_changes.words, name="words"),
    path(f"{WEEK}habits/", board_changes.add, name="habit_add"),
    path(f"{WEEK}habits/<int:position>/rename/", board_changes.rename, name="habit_rename"),
    path(f"{WEEK}habits/<int:position>/move/", board_changes.move, name="habit_move"),
    path(f"{WEEK}habits/<int:position>/remove/", board_changes.remove, name="habit_remove"),
    path("children/<child:name>/", children.child, name="child"),
]
