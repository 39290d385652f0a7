"""Commands whose verbs are about rows that a list of theirs numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandParser

from migration_ops.exceptions import UnusableInput
from migration_ops.management.base import OperatorCommand


class NumberedCommand(OperatorCommand):
    """`COMMAND VERB ID…`; options may stand between the ids as well: `accept --reason … 3 4`."""

    listed_by: ClassVar[str]
    """The command that shows the ids."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]
        return parser

    def numbers(self, options: Mapping[str, Any]) -> list[int]:
        """The ids that were named, each once, in their order.

        Raises:
            UnusableInput: one of them is none.
        """
        words: list[str] = options["ids"]
        wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) < 19)]
        if wrong:
            raise UnusableInput(f"{wrong[0]!r} is no id; `{self.listed_by}` shows them.")
        return list(dict.fromkeys(map(int, words)))
