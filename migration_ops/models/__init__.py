"""The engine's state. Everything it knows is in these tables; no file, cache or queue is ever the truth."""

from migration_ops.models.alert import Alert, AlertMessage, AlertStatus
from migration_ops.models.dashboard import Dashboard
from migration_ops.models.difference import STANDING, UNSETTLED, BeforeImage, Difference, DifferenceStatus, Severity
from migration_ops.models.dirty_key import DirtyKey
from migration_ops.models.flag import Flag
from migration_ops.models.gates import GateOverride, GateReading
from migration_ops.models.heartbeat import Heartbeat
from migration_ops.models.history import HistoryEntry, HistoryHead
from migration_ops.models.imported import ImportedDocument
from migration_ops.models.lineage import Lineage, MergeRecord
from migration_ops.models.metric import Metric, MetricTotal
from migration_ops.models.periodic import Periodic
from migration_ops.models.polled_version import PolledVersion
from migration_ops.models.quarantine import QuarantineItem, QuarantineStatus
from migration_ops.models.read_difference import ReadDifference
from migration_ops.models.run import Run, RunKind, RunRange, RunStatus
from migration_ops.models.state import MigrationState
from migration_ops.models.touched import ComparedUpTo, TouchedKey

__all__ = [
    "STANDING",
    "UNSETTLED",
    "Alert",
    "AlertMessage",
    "AlertStatus",
    "BeforeImage",
    "ComparedUpTo",
    "Dashboard",
    "Difference",
    "DifferenceStatus",
    "DirtyKey",
    "Flag",
    "GateOverride",
    "GateReading",
    "Heartbeat",
    "HistoryEntry",
    "HistoryHead",
    "ImportedDocument",
    "Lineage",
    "MergeRecord",
    "Metric",
    "MetricTotal",
    "MigrationState",
    "Periodic",
    "PolledVersion",
    "QuarantineItem",
    "QuarantineStatus",
    "ReadDifference",
    "Run",
    "RunKind",
    "RunRange",
    "RunStatus",
    "Severity",
    "TouchedKey",
]
