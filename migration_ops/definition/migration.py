"""The declaration of one migration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from django.db import DatabaseError
from django.utils.functional import Promise

from migration_ops.definition.documents import DocumentT, FieldDifference, Json, KeyT, Side
from migration_ops.definition.naming import KeyForm
from migration_ops.definition.preflight import PreflightCheck
from migration_ops.definition.rows import CodeMeaning
from migration_ops.definition.stores import RowStore, Store


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key that is left out while the modern tables are filled and added `NOT VALID`, then validated, after.

    Names are identifiers, `on_delete` is `CASCADE`-free SQL such as `NO ACTION`.
    """

    name: str
    table: str
    column: str
    references: str
    referenced_column: str = "id"


@dataclass(frozen=True, kw_only=True)
class Migration(Generic[KeyT, DocumentT]):
    """The declaration of one migration.

    Attributes:
        name: identifies it in the database and on the command line, e.g. `boards`.
        label: what people read, in the language of whoever reads it where it is a lazy translation.
        plural: the documents' name in counts, e.g. `boards` for `boards_written`.
        legacy, modern: make the stores; called once per unit of work, so they may hold no connection.
        source: makes a legacy store from a file, for `backfill --source FILE`, given the file's real path; None where
            that makes no sense. What was accepted of its rows is found with `accepted_rows(…, source=path)`.
        rows_from: the real path of the file that `legacy` reads in the place of the legacy store; "" where that is what
            it reads. Not declared: `sync.source.beside` sets it. Lineage and quarantine keep rows apart by it.
        encode_key, decode_key: key to canonical text and back, one to one.
        describe_key: the key's parts by name, as reports show them; all strings.
        key_form: how a person names a key; None where only its canonical text does.
        find_unit: the unit that a person means by this text, e.g. an account by its address. Raises `UnusableInput`
            with a sentence where it names none, or more than one. By default the text is the unit.
        unit: what reads and writes move together for, e.g. the owner.
        unit_prefix: what the canonical texts of all keys of a unit begin with, and no others.
        differences: the fields in which a legacy and a modern document differ; not empty unless they are equal, and
            empty then but for what the modern store keeps beside the content, see `KeepsLegacyIds`. Equal documents
            are the rule, so they should cost little.
        marks: how many values worth counting a document holds.
        equal_marks: how many of them two documents of one key agree on.
        image: the document as JSON, for before-images.
        rejection_codes: every code a `Rejection` may carry.
        code_meanings: what people who decide are told about each of them.
        code_for_error: the code for a row that only the modern database refused; called where the database can be
            asked about it, after what failed was rolled back.
        code_for_duplicate: the code for a row of a `source` whose document another store has with other content.
        modern_tables: in the order they can be dropped one by one, dependents first.
        irreplaceable_tables: those of them whose rows no backfill can make anew, because people made them or the
            application works with them; while there are any, `shadow_schema drop` refuses.
        foreign_keys: those added after the backfill.
        schema_migrations: Django migrations (app, name) that made the modern tables, unapplied by `shadow_schema drop`.
        preflight: checks of the domain's own, each called once.
    """

    name: str
    label: str | Promise
    plural: str
    legacy: Callable[[], RowStore[KeyT, DocumentT]]
    modern: Callable[[], Store[KeyT, DocumentT]]
    source: Callable[[str], RowStore[KeyT, DocumentT]] | None = None
    rows_from: str = ""
    encode_key: Callable[[KeyT], str]
    decode_key: Callable[[str], KeyT]
    describe_key: Callable[[KeyT], Mapping[str, str]]
    key_form: KeyForm[KeyT] | None = None
    find_unit: Callable[[str], str] = str
    unit: Callable[[KeyT], str]
    unit_prefix: Callable[[str], str]
    differences: Callable[[DocumentT, DocumentT], list[FieldDifference]]
    marks: Callable[[DocumentT], int]
    equal_marks: Callable[[DocumentT, DocumentT], int]
    image: Callable[[DocumentT], Json]
    rejection_codes: tuple[str, ...]
    code_meanings: Mapping[str, CodeMeaning] = field(default_factory=dict)
    code_for_error: Callable[[DatabaseError], str]
    code_for_duplicate: str = ""
    modern_tables: tuple[str, ...]
    irreplaceable_tables: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    schema_migrations: tuple[tuple[str, str], ...] = ()
    preflight: tuple[Callable[[], PreflightCheck], ...] = ()

    def store(self, side: Side) -> Store[KeyT, DocumentT]:
        return self.legacy() if side is Side.LEGACY else self.modern()

    def key_in_words(self, key: KeyT) -> str:
        """What people call the document of this key: its parts in a row."""
        return " · ".join(self.describe_key(key).values())


AnyMigration = Migration[Any, Any]
