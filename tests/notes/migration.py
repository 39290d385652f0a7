"""The declaration of the tiny domain."""

from __future__ import annotations

import json

from migration_ops import registry
from migration_ops.definition import AnyMigration, Migration
from tests.notes.note import Note, NoteKey, differences, equal_lines
from tests.notes.stores import LegacyNotes, ModernNotes

notes: Migration[NoteKey, Note] = Migration(
    name="notes",
    label="Notes",
    plural="notes",
    legacy=LegacyNotes,
    modern=ModernNotes,
    encode_key=lambda key: json.dumps(key, ensure_ascii=False),
    decode_key=lambda text: NoteKey(*json.loads(text)),
    describe_key=lambda key: {"notebook": key.notebook, "title": key.title},
    unit=lambda key: key.notebook,
    unit_prefix=lambda notebook: json.dumps([notebook], ensure_ascii=False)[:-1] + ",",
    differences=differences,
    marks=lambda note: len(note.lines),
    equal_marks=equal_lines,
    image=lambda note: {"notebook": note.key.notebook, "title": note.key.title, "lines": list(note.lines)},
    rejection_codes=("notebook_missing", "title_missing", "body_missing", "refused_by_database"),
    code_for_error=lambda error: "refused_by_database",
    modern_tables=("modern_notes",),
)


def register_alone() -> list[AnyMigration]:
    """Make this the only migration there is; the others, to be registered again."""
    others = registry.all_migrations()
    for other in others:
        registry.unregister(other.name)
    registry.register(notes)
    return others
