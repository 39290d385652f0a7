"""Whether somebody changed a document past the app between its being loaded and its being written over.

Rows that were loaded from legacy are locked since then; a row that was added, and whatever a document is made of in
modern, is not. Asked after the write, whose locks keep everybody out: who was there before is on the dirty list.
"""

from __future__ import annotations

from migration_ops.definition import Side
from migration_ops.stages import CAPTURING
from migration_ops.sync import dirty
from migration_ops.sync.draft import Place


def news(place: Place) -> set[Side]:
    """The sides on which the document came onto the list since this was asked last, or since it was loaded."""
    notices = dirty.speaking_of(place.migration, [place.migration.encode_key(place.draft.key)])
    unseen = {notice: side for notice, _, side in notices if notice not in place.seen}
    place.seen |= unseen.keys()
    return set(unseen.values())


def in_authority(place: Place) -> bool:
    """Whether the write that was made replaced something of the authority that it had not seen, and can be undone."""
    if place.stage not in CAPTURING[place.side] or not place.store.transactional:
        return False
    return Side.MODERN in news(place) if place.side is Side.MODERN else _by_added_rows(place)


def _by_added_rows(place: Place) -> bool:
    if place.draft.document is None:
        return False  # a copy of each row that was removed is in the archive
    links = place.store.load([place.draft.key]).links
    return bool(dirty.naming(place.migration, {link.row for link in links} - {*place.rows}))
