"""Addresses of the families' pages."""

from django.urls import path, register_converter

from habits.web import beginnings, board_changes, boards, children, notifications, stats, templates
from habits.web.converters import ChildName, Day

register_converter(ChildName, "child")
register_converter(Day, "day")

WEEK = "children/<child:name>/weeks/<day:day>/"

urlpatterns = [
    path("", children.children, name="children"),
    path(WEEK, boards.week, name="week"),
    path(f"{WEEK}begin/", beginnings.begin, name="week_begin"),
    path(f"{WEEK}begin/ask/", beginnings.ask, name="week_begin_ask"),
    path(f"{WEEK}template/", templates.from_week, name="template_from_week"),
    path(f"{WEEK}delete/", boards.delete, name="week_delete"),
    path(f"{WEEK}marks/", board_changes.marks, name="marks"),
    path(f"{WEEK}fill/", board_changes.fill, name="fill"),
    path(f"{WEEK}words/", board_changes.words, name="words"),
    path(f"{WEEK}habits/", board_changes.add, name="habit_add"),
    path(f"{WEEK}habits/<int:position>/rename/", board_changes.rename, name="habit_rename"),
    path(f"{WEEK}habits/<int:position>/move/", board_changes.move, name="habit_move"),
    path(f"{WEEK}habits/<int:position>/remove/", board_changes.remove, name="habit_remove"),
    path("children/<child:name>/stats/", stats.stats, name="stats"),
    path("children/<child:name>/", children.child, name="child"),
    path("notifications/", notifications.listed, name="notifications"),
    path("notifications/<uuid:notification>/read/", notifications.read, name="notification_read"),
    path("templates/", templates.listed, name="templates"),
    path("templates/new/", templates.new, name="template_new"),
    path("templates/<uuid:template>/", templates.edit, name="template_edit"),
    path("templates/<uuid:template>/delete/", templates.delete, name="template_delete"),
]
