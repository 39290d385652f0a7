"""The migration of this installation: weekly boards, from one legacy table or file to the modern tables."""

from __future__ import annotations

from django.utils.translation import gettext_lazy, gettext_noop

from habits.board import Board, BoardKey, decode_key, encode_key, unit_prefix
from habits.code_meanings import MEANINGS
from habits.comparison import differences, equal_marks, image, marks
from habits.naming import BOARD_FORM, owner_named
from habits.preflight import legacy_readable, owners_known
from habits.refusals import code_for_error
from habits.stores.legacy import legacy_store, source_store
from habits.stores.legacy_verdict import CODES
from habits.stores.modern import ModernStore
from migration_ops.definition import ForeignKey, Migration

boards: Migration[BoardKey, Board] = Migration(
    name="boards",
    label=gettext_lazy("Weekly boards"),
    plural=gettext_noop("boards"),
    legacy=legacy_store,
    modern=ModernStore,
    source=source_store,
    encode_key=encode_key,
    decode_key=decode_key,
    describe_key=lambda key: {
        "owner": str(key.owner),
        "child": key.child,
        "week_start": key.week_start.isoformat(),
    },
    key_form=BOARD_FORM,
    find_unit=owner_named,
    unit=lambda key: str(key.owner),
    unit_prefix=unit_prefix,
    differences=differences,
    marks=marks,
    equal_marks=equal_marks,
    image=image,
    rejection_codes=CODES,
    code_meanings=MEANINGS,
    code_for_error=code_for_error,
    code_for_duplicate="duplicate_key",
    modern_tables=(
        "habit_records",
        "habits",
        "weeks",
        "habit_templates",
        "notifications",
        "idempotency_log",
        "request_counts",
        "login_attempts",
        "children",
    ),
    irreplaceable_tables=("habit_templates", "idempotency_log", "request_counts", "login_attempts"),
    foreign_keys=tuple(
        ForeignKey(f"{table}_{column}_fkey", table, column, references)
        for table, column, references in (
            ("children", "user_id", "users"),
            ("weeks", "user_id", "users"),
            ("weeks", "child_id", "children"),
            ("weeks", "template_id", "habit_templates"),
            ("habits", "week_id", "weeks"),
            ("habit_records", "habit_id", "habits"),
            ("habit_templates", "user_id", "users"),
            ("habit_templates", "child_id", "children"),
            ("notifications", "user_id", "users"),
            ("notifications", "from_user_id", "users"),
            ("idempotency_log", "user_id", "users"),
            ("request_counts", "user_id", "users"),
        )
    ),
    schema_migrations=(
        ("habits", "0002_modern_tables"),
        ("habits", "0003_modern_indexes"),
        ("habits", "0004_request_counts"),
        ("habits", "0005_notified_once"),
        ("habits", "0006_login_attempts"),
    ),
    preflight=(legacy_readable, owners_known),
)
