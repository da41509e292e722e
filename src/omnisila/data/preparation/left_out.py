"""What preparation leaves out or changes, by reason: counted in full, named for the first few."""

from collections import Counter, defaultdict

_NAMED = 5  # a reason that strikes a whole set must not fill the screen


class LeftOut:
    """An account that grows while examples stream by."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, name: str) -> None:
        """``name`` (a video, a file) is left out because of ``reason``."""
        self._note(self.counts, reason, name)

    def note_change(self, reason: str, name: str) -> None:
        """``name`` (an event, a duration) is not taken as it was annotated."""
        self._note(self.changes, reason, name)

    def lines(self) -> tuple[str, ...]:
        """One line a reason, the most frequent first: its count and the first names."""
        return tuple(
            f"{count} {what}: {reason} ({', '.join(self._names[reason])}{', ...' if count > _NAMED else ''})"
            for what, counts in (("left out", self.counts), ("changed", self.changes))
            for reason, count in counts.most_common()
        )

    def _note(self, counts: Counter[str], reason: str, name: str) -> None:
        counts[reason] += 1
        if len(self._names[reason]) < _NAMED:
            self._names[reason].append(name)
