"""What is wrong with one query file, gathered so that `check` can say it all at once and not only the first.

Knows places and sentences. Does not know what a query is.
"""

from __future__ import annotations

from backplane.wire.errors import QueryError, UsageError


class Problems:
    """The one mutable object while a query file is read: each rule adds to it what it finds.

    Args:
        file: the query file as the user named it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[UsageError] = []
        self.warnings: list[str] = []

    def wrong(self, text: str, line: int | None = None) -> None:
        """Something that keeps the query from running; ``text`` says what to do."""
        self.errors.append(QueryError(text, self.file, line))

    def refuse(self, error: UsageError) -> None:
        """The same, about something outside of the file: an option, a name."""
        self.errors.append(error)

    def warn(self, text: str, line: int | None = None) -> None:
        """Something that the user may not have meant, though it runs."""
        self.warnings.append(str(QueryError(text, self.file, line)))

    def into(self, other: Problems) -> None:
        """Tells all of it to another one, of a whole that this is a part of."""
        other.errors += self.errors
        other.warnings += self.warnings

    def sorted(self) -> list[UsageError]:
        """The errors: those about options first, then by line. A sentence stands once."""
        unique = {str(error): error for error in self.errors}.values()
        return sorted(unique, key=lambda error: getattr(error, "line", None) or 0)
