"""People and, in the modern schema, their children, weeks, habits, marks, templates and notifications.

The modern tables have their unique keys from the start; their checks are there but not yet validated, and their foreign
keys are left out until `shadow_schema validate`, because checking them row by row costs a backfill most of its speed.
"""

from habits.models.boards import Child, Habit, HabitRecord, Week
from habits.models.idempotency import IdempotencyRecord
from habits.models.login_attempts import LoginAttempts
from habits.models.notifications import Notification, NotificationType
from habits.models.request_count import RequestCount
from habits.models.templates import HabitTemplate
from habits.models.users import User, UserManager

__all__ = [
    "Child",
    "Habit",
    "HabitRecord",
    "HabitTemplate",
    "IdempotencyRecord",
    "LoginAttempts",
    "Notification",
    "NotificationType",
    "RequestCount",
    "User",
    "UserManager",
    "Week",
]
