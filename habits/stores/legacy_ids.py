"""What the modern store keeps of the ids that legacy gives to habits. Pure.

They are no part of what a board says, but the way back writes them into the legacy rows again.
"""

from __future__ import annotations

from habits.board import Board

_BIGINT = range(-(1 << 63), 1 << 63)


def legacy_id_kept(legacy_id: int | None) -> int | None:
    """The legacy id as far as the column can hold it; what it cannot is left to the legacy row itself."""
    return legacy_id if legacy_id is not None and legacy_id in _BIGINT else None


def kept(legacy: Board, modern: Board) -> bool:
    """Whether modern knows every id that legacy gives to a habit of the same position and that can be kept."""
    for one, other in zip(legacy.habits, modern.habits, strict=False):
        if one.legacy_id != other.legacy_id and legacy_id_kept(one.legacy_id) is not None:
            return False
    return True
