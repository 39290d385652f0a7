"""A moment is only one with its time zone; as the engine writes it, `migration_ops.moment`."""

DATETIME_FORMAT = "Y-m-d H:i:s T"
