"""How a process that works batch after batch is told to stop."""

from __future__ import annotations

import signal

import pytest

from migration_ops.backfill.stop import on_signals


def test_the_sigterm_of_a_parent_that_follows_the_terminals_sigint_lets_the_batch_end() -> None:
    with on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_a_second_ctrl_c_does_not_wait_for_the_batch() -> None:
    with on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
