"""Atr-R by people: stated causes in a table, rated from 1 to 6, read back with the raters' agreement.

A row shows neither the system nor an order that would tell it; which systems a row belongs to stands in a key beside
the table, which raters are not given. Source: Omni-SILA 4.3, three raters, 1 completely wrong, 6 completely correct.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from omnisila.config import Frozen
from omnisila.decisions import Decision
from omnisila.errors import InputError, OutputError, RecordError
from omnisila.evaluation.agreement import HIGHEST, LOWEST, Agreement, agreement
from omnisila.evaluation.answers import StatedCause
from omnisila.evaluation.mean_ratings import HUMAN, Rated, mean_ratings
from omnisila.evaluation.named_scores import make_score
from omnisila.evaluation.significance import DRAWS
from omnisila.files import write_atomically
from omnisila.records import records
from omnisila.schema import Score, Scores
from omnisila.tables import read_table

COLUMNS = ("id", "video", "start_s", "end_s", "label", "cause", "rating")
_NEEDED = ("id", "rating")
KEY_SUFFIX = ".key.jsonl"
_SHOWN = 5  # faults named one by one


class RatedCause(Frozen):
    """One line of a key: a cause, and all systems that stated it; an empty cause stands in no table."""

    id: str
    systems: tuple[str, ...]
    example_id: str
    video: str
    labels: str
    label: str
    cause: str


class Ratings(NamedTuple):
    """What came back; NaN where a rater left a cause without a rating."""

    causes: tuple[RatedCause, ...]
    raters: tuple[str, ...]
    values: Float[np.ndarray, "causes raters"]


def rating_sheet(sheet: Path, key: Path, causes: Sequence[StatedCause], seed: int = 0) -> int:
    """Write a table for raters, each of whom gets a copy, and its key; returns how many rows there are to rate.

    A cause that several systems state of one example is one row. ``seed`` orders the rows and makes their ids.

    Raises:
        OutputError: one of the files cannot be written, or exists and may hold ratings.
    """
    for path in (sheet, key):
        if path.exists():
            raise OutputError(f"{path}: exists and may belong to ratings. Choose another name.")
    alike: dict[tuple[str, str], list[StatedCause]] = {}
    for cause in causes:
        alike.setdefault((cause.example.id, cause.cause), []).append(cause)
    rows = [(_rated_cause(group, seed), group[0]) for group in alike.values()]
    shown = [row for row in rows if row[0].cause]
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for item, cause in (shown[index] for index in np.random.default_rng(seed).permutation(len(shown))):
        times = f"{cause.example.start_s:.3f}", f"{cause.example.end_s:.3f}"
        table.writerow((item.id, *map(_escape_formula, (item.video, *times, item.label, item.cause)), ""))
    write_atomically(key, "".join(item.model_dump_json() + "\n" for item, _ in rows))
    write_atomically(sheet, "\ufeff" + text.getvalue())  # the mark tells spreadsheets that it is UTF-8
    return len(shown)


def read_ratings(key: Path, sheets: Sequence[Path]) -> Ratings:
    """The ratings of several people, each named after their file.

    An empty rating is none. Separators, byte-order mark, order of rows and further columns do not matter.

    Raises:
        RecordError: a file cannot be read, lacks a column or has rows that cannot be understood; up to five are named
            with line, value and what was wanted.
        InputError: no table, or two of one name.
    """
    raters = tuple(path.stem for path in sheets)
    if not sheets or len(set(raters)) < len(raters):
        raise InputError(f"tables {', '.join(map(str, sheets)) or 'none'}. Give each rater's, under a name of its own.")
    causes = tuple(records(key, RatedCause))
    position = {cause.id: index for index, cause in enumerate(causes)}
    values = np.full((len(causes), len(sheets)), np.nan)
    for column, path in enumerate(sheets):
        for name, rating in _sheet_ratings(path, position).items():
            values[position[name], column] = rating
    return Ratings(causes, raters, values)


def key_of(sheets: Sequence[Path]) -> Path:
    """The key beside rated tables: of the .key.jsonl files in their folders the one that holds their rows.

    Raises:
        InputError: there is none, or several hold them.
        RecordError: a table or a key cannot be read.
    """
    there = sorted({key for sheet in sheets for key in sheet.parent.glob(f"*{KEY_SUFFIX}")})
    asked = {row.values.get("id", "").strip() for sheet in sheets for row in read_table(sheet, keep_ragged=True).rows}
    fitting = [key for key in there if asked <= {cause.id for cause in records(key, RatedCause)}]
    if len(fitting) != 1:
        found = "several hold these rows" if fitting else "none of them holds these rows"
        names = f": of {', '.join(map(str, there))} {found}" if there else ""
        raise InputError(
            f"{', '.join(map(str, sheets))}: no key beside it{names}. Give the {KEY_SUFFIX} that was written with the "
            "table: --key."
        )
    return fitting[0]


def rating_scores(ratings: Ratings, draws: int = DRAWS) -> tuple[Scores, ...]:
    """Each system's Atr-R: mean over causes of the mean over raters, per label, what nobody rated, and agreement.

    An empty cause has the lowest rating, as nobody is asked about it. Agreement is that of the raters over all causes
    of the table, whichever system's they are; it is said with each system.

    Raises:
        InputError: krippendorff is not installed.
    """
    recipe = f"{HUMAN}, mean of {len(ratings.raters)} rater{'s' if len(ratings.raters) > 1 else ''}"
    systems = dict.fromkeys(system for cause in ratings.causes for system in cause.systems)
    shared = _agreement_scores(agreement(ratings.values), len(ratings.raters))
    result = []
    for system in systems:
        rows = [
            Rated(system, cause.labels, cause.label, cause.video, _mean_rating(cause, values))
            for cause, values in zip(ratings.causes, ratings.values, strict=True)
            if system in cause.systems
        ]
        mine = [cause for cause in ratings.causes if system in cause.systems]
        counts = (
            make_score(
                "empty causes", f"{recipe}; count, rated {LOWEST}", sum(not cause.cause for cause in mine), len(mine)
            ),
            make_score(
                "unrated causes",
                f"{recipe}; count, not in the mean",
                sum(bool(np.isnan(row.rating)) for row in rows),
                len(mine),
            ),
        )
        scores = (*mean_ratings(rows, recipe, draws), *counts, *shared)
        result.append(Scores(system=system, scores=scores))
    return tuple(result)


def _agreement_scores(found: Agreement, raters: int) -> tuple[Score, ...]:
    who = f"{HUMAN}, {raters} rater{'s' if raters > 1 else ''}, all systems' causes"
    return (
        _score_or_none("Krippendorff's alpha", f"{who}; ordinal", found.alpha, found),
        _score_or_none("difference of raters", f"{who}; mean over pairs of ratings", found.mean_difference, found),
    )


def _score_or_none(metric: str, variant: str, value: float | None, found: Agreement) -> Score:
    note = found.note if value is None else None
    return make_score(metric, variant, np.nan if value is None else value, found.causes, note)


def _rated_cause(group: Sequence[StatedCause], seed: int) -> RatedCause:
    first = group[0]
    digest = hashlib.sha256("\0".join((str(seed), first.example.id, first.cause)).encode())
    return RatedCause(
        id=f"r{digest.hexdigest()[:12]}",  # a letter first: spreadsheets would read 12e45 as a number
        systems=tuple(cause.system for cause in group),
        example_id=first.example.id,
        video=first.example.video,
        labels=first.example.labels,
        label=first.label,
        cause=first.cause,
    )


def _mean_rating(cause: RatedCause, values: Float[np.ndarray, "raters"]) -> float:
    if not cause.cause:
        return LOWEST
    given = values[~np.isnan(values)]
    return float(given.mean()) if len(given) else np.nan


def _sheet_ratings(path: Path, known: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int | None] = {}
    faults: list[str] = []
    for row in read_table(path, _NEEDED, keep_ragged=True).rows:
        try:
            if not row.values.keys() >= set(_NEEDED):
                raise ValueError("fewer fields than the header has")
            name, said = (row.values[column].strip() for column in _NEEDED)
            if name not in known:
                raise ValueError(f"id {name!r}; wanted: one that the key holds")
            if name in found:
                raise ValueError(f"id {name!r} stands in an earlier row too; wanted: one row a cause")
            found[name] = None
            found[name] = _rating(said) if said else None
        except ValueError as error:
            faults.append(f"line {row.line}: {error}")
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise RecordError(f"{path}: {'; '.join(faults[:_SHOWN])}{more}. Correct the table and read it again.")
    return {name: rating for name, rating in found.items() if rating is not None}


def _rating(said: str) -> int:
    try:
        value = float(said.replace(",", "."))  # some spreadsheets save 4 as 4.0 or 4,0
    except ValueError:
        value = np.nan
    if not LOWEST <= value <= HIGHEST or value != int(value):
        raise ValueError(f"rating {said!r}; wanted: a whole number from {LOWEST} to {HIGHEST}, or empty")
    return int(value)


def _escape_formula(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; ids and ratings alone are read back."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def decided_ratings(decisions: Iterable[Decision]) -> Ratings:
    """The causes of findings that somebody accepted or rated, with each person's rating.

    A system is a model's name with its digest, as ``score`` calls the system that a folder of analyses is. What people
    added themselves has no cause of a model. A cause that was accepted but not rated counts as unrated.
    """
    said = [decision for decision in decisions if decision.model_start_s is not None]
    wanted = dict.fromkeys(
        decision.finding for decision in said if decision.verdict == "accepted" or decision.rating is not None
    )
    users = tuple(sorted({decision.user for decision in said}))
    first = {decision.finding: decision for decision in reversed(said)}
    place = {finding: row for row, finding in enumerate(wanted)}
    values = np.full((len(wanted), len(users)), np.nan)
    for decision in said:
        if decision.finding in place and decision.rating is not None:
            values[place[decision.finding], users.index(decision.user)] = decision.rating
    return Ratings(tuple(_cause(first[finding]) for finding in wanted), users, values)


def _cause(decision: Decision) -> RatedCause:
    return RatedCause(
        id=decision.finding,
        systems=(decision.model,),
        example_id=decision.finding,
        video=decision.video,
        labels=decision.labels,
        label=decision.label,
        cause=decision.cause or "",
    )
