"""Formats an analysis can be written in: one module a format, found by looking; a new format is a new file here.

A format's module has ``SUFFIX`` (what follows the output's name, without a dot) and ``export(analysis) -> str``.
``omnisila.predictions`` reads those of spans back, so that what people corrected can be scored.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import NamedTuple

from omnisila.errors import InputError, check_known, unknown
from omnisila.schema import Analysis, Span

PAGE = "html"  # beside these formats: made of more than the analysis


class Exporter(NamedTuple):
    """How one format is written."""

    suffix: str
    export: Callable[[Analysis], str]


def formats() -> tuple[str, ...]:
    """Names of the formats there are; nothing is imported for it."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def wanted_formats(names: Iterable[str]) -> tuple[str, ...]:
    """What a run writes: JSON always, then formats and the page, each once.

    Raises:
        InputError: no such format; the message lists those there are.
    """
    wanted, known = tuple(dict.fromkeys(("json", *names))), (PAGE, *formats())
    check_known("format", wanted, sorted(known))
    return wanted


def exporter(name: str) -> Exporter:
    """The format of that name; its module is imported now.

    Raises:
        InputError: no such format; the message lists those there are.
    """
    if name not in formats():
        raise InputError(unknown("format", name, formats()))
    module = importlib.import_module(f"{__name__}.{name}")
    return Exporter(module.SUFFIX, module.export)


def output_suffixes(wanted: Iterable[str]) -> tuple[str, ...]:
    """Of the outputs in these formats."""
    return tuple(name if name == PAGE else exporter(name).suffix for name in wanted)


def whole_milliseconds(span: Span) -> tuple[int, int]:
    """Start and end as formats with milliseconds hold them; a span never becomes empty."""
    start_ms = round(span.start_s * 1000)
    return start_ms, max(round(span.end_s * 1000), start_ms + 1)


def whole_seconds(span: Span) -> tuple[float, float]:
    """Start and end to the millisecond; a span never becomes empty."""
    start_ms, end_ms = whole_milliseconds(span)
    return start_ms / 1000, end_ms / 1000
