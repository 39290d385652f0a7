"""Traffic as families make it, that keeps a ledger of what was acknowledged and proves it in both stores afterwards."""
