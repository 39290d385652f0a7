"""What a domain declares so that the engine can migrate it: documents, two stores, and how to compare them.

A *document* is the unit of comparison and of sync. A *store* holds documents, whatever is behind it. Legacy stores are
made of *rows* that are not one to one with documents; `RowStore` says what the engine needs to know of them.
"""

from migration_ops.definition.capabilities import (
    FindsStrays,
    KeepsLegacyIds,
    KeptInFile,
    KnowsLimits,
    ListsKeys,
    ListsUnits,
    LoadsRows,
    Prepares,
    RemovedRow,
    Stray,
)
from migration_ops.definition.documents import DocumentT, FieldDifference, Json, Keyed, KeyT, Side
from migration_ops.definition.migration import AnyMigration, ForeignKey, Migration
from migration_ops.definition.naming import KeyForm, KeyPart
from migration_ops.definition.pages import Batch, Cursor, KeyPage, Page, Saved, Span
from migration_ops.definition.preflight import PreflightCheck, Status
from migration_ops.definition.rows import CodeMeaning, Conflict, Merge, Rejection, RowLink
from migration_ops.definition.stores import CapturedTable, RowStore, Store

__all__ = [
    "AnyMigration",
    "Batch",
    "CapturedTable",
    "CodeMeaning",
    "Conflict",
    "Cursor",
    "DocumentT",
    "FieldDifference",
    "FindsStrays",
    "ForeignKey",
    "Json",
    "KeepsLegacyIds",
    "KeptInFile",
    "KeyForm",
    "KeyPage",
    "KeyPart",
    "KeyT",
    "Keyed",
    "KnowsLimits",
    "ListsKeys",
    "ListsUnits",
    "LoadsRows",
    "Merge",
    "Migration",
    "Page",
    "PreflightCheck",
    "Prepares",
    "Rejection",
    "RemovedRow",
    "RowLink",
    "RowStore",
    "Saved",
    "Side",
    "Span",
    "Status",
    "Store",
    "Stray",
]
