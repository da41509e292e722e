"""Options that take several names."""

from collections.abc import Iterable


def listed(values: Iterable[str]) -> tuple[str, ...]:
    """The names in an option's values, with commas between or each in a value of its own; each once."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))
