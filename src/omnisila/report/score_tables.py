"""Our scores as tables: all of them, those of each label, and what later systems have more than the first."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from omnisila.evaluation.answers import CHANCE, FLAG_ALL, FLAG_NONE
from omnisila.labels import LABEL_SETS
from omnisila.report.tables import Cell, Column, Row, Source, Table
from omnisila.schema import Score, Scores

_TRIVIAL = (FLAG_ALL, FLAG_NONE, CHANCE)
_DIFFERENCE = "difference of "
_MARKED = "Figures in brackets are 95 % intervals of a bootstrap over videos."


class PerLabel(NamedTuple):
    """One metric in one variant, label by label, of every system that has it."""

    labels: str
    metric: str
    variant: str
    names: tuple[str, ...]
    systems: tuple[tuple[str, tuple[Score | None, ...]], ...]


def is_difference(system: Scores) -> bool:
    """Whether these are differences of two systems, and not a system's own figures."""
    return any(score.metric.startswith(_DIFFERENCE) for score in system.scores)


def source_of(system: Scores) -> Source:
    """Whether a system looks at the videos."""
    return "reference" if is_trivial(system.system) else "ours"


def is_trivial(system: str) -> bool:
    """Whether a name is that of flag-all, flag-none or chance."""
    return system in _TRIVIAL


def all_scores(systems: Sequence[Scores]) -> Table:
    """Every metric in every variant, a system a column."""
    own = [system for system in systems if not is_difference(system)]
    known = [{(score.metric, score.variant): score for score in system.scores} for system in own]
    keys = list(dict.fromkeys(key for scores in known for key in scores))
    order = {metric: index for index, metric in enumerate(dict.fromkeys(metric for metric, _ in keys))}
    keys.sort(key=lambda key: order[key[0]])  # stable: variants stay in their order
    rows = []
    for key in keys:
        found = [scores.get(key) for scores in known]
        count = max(score.count for score in found if score is not None)
        notes = [score.note for score in found if score is not None and score.note]
        cells = (Cell(value=count), *(_cell(score) for score in found))
        rows.append(Row(names=key, cells=(*cells, Cell(text="; ".join(dict.fromkeys(notes))))))
    return Table(
        name="all-scores", title="All scores", heads=("metric", "variant"),
        columns=(
            Column(head="count", digits=0),
            *(Column(head=system.system, digits=4) for system in own),
            Column(head="note"),
        ),
        rows=tuple(rows),
        notes=(
            _MARKED,
            "Count is that of the items the figure is over. – is a figure that these examples cannot define.",
        ),
    )  # fmt: skip


def differences(systems: Sequence[Scores]) -> Table | None:
    """What each later system has more than the first, with p-values; None without such scores."""
    rows = [
        Row(
            names=(system.system, score.metric.removeprefix(_DIFFERENCE), score.variant),
            cells=(_cell(score), _p_cell(score.p_value), Cell(value=score.count)),
        )
        for system in systems
        if is_difference(system)
        for score in system.scores
    ]
    if not rows:
        return None
    return Table(
        name="differences",
        title="Differences between systems",
        heads=("systems", "metric", "variant"),
        columns=(Column(head="difference", digits=4), Column(head="p", digits=4), Column(head="count", digits=0)),
        rows=tuple(rows),
        notes=(_MARKED, "p is two-sided; rows that name a t-test compare means over videos, the others redraw videos."),
    )


def per_label(systems: Sequence[Scores]) -> tuple[PerLabel, ...]:
    """Everything that is scored label by label, in the order of the label set."""
    found: dict[tuple[str, str, str], dict[str, dict[str, Score]]] = {}
    for system in systems:
        if is_difference(system):
            continue
        for score in system.scores:
            if (parts := _label_parts(score)) is not None:
                labels, label, variant = parts
                found.setdefault((labels, score.metric, variant), {}).setdefault(system.system, {})[label] = score
    return tuple(_per_label(*key, scores) for key, scores in found.items())


def kind_of(figures: PerLabel) -> str:
    """The variant's first words."""
    return figures.variant.partition(";")[0]


def per_label_table(figures: PerLabel) -> Table:
    """A system a row, a label a column."""
    kind = f"{figures.labels} {figures.metric} {kind_of(figures)}"
    slug = "-".join(re.findall(r"\w+", kind.lower()))
    columns = zip(*(scores for _, scores in figures.systems), strict=True)
    counts = ", ".join(
        f"{name} {max(score.count for score in column if score is not None)}"
        for name, column in zip(figures.names, columns, strict=True)
    )
    rows = [
        Row(
            names=(name,),
            cells=tuple(_cell(score) for score in scores),
            source="reference" if is_trivial(name) else "ours",
        )
        for name, scores in figures.systems
    ]
    return Table(
        name=f"per-label-{slug}",
        title=f"{figures.metric} of each label: {', '.join(filter(None, [figures.labels, kind_of(figures)]))}",
        heads=("system",),
        columns=tuple(Column(head=name, digits=4) for name in figures.names),
        rows=tuple(sorted(rows, key=lambda row: row.source == "reference")),
        notes=(f"{figures.metric} ({figures.labels}; label; {figures.variant}).", f"Items: {counts}."),
    )


def _per_label(labels: str, metric: str, variant: str, scores: dict[str, dict[str, Score]]) -> PerLabel:
    names = tuple(name for name in LABEL_SETS[labels].labels if any(name in by_label for by_label in scores.values()))
    return PerLabel(
        labels,
        metric,
        variant,
        names,
        tuple((name, tuple(map(by_label.get, names))) for name, by_label in scores.items()),
    )


def _label_parts(score: Score) -> tuple[str, str, str] | None:
    """Label set, label and the rest of a variant; None for a score that is of no single label."""
    labels, _, rest = score.variant.partition("; ")
    label, _, variant = rest.partition("; ")
    known = labels in LABEL_SETS and label in LABEL_SETS[labels].labels
    return (labels, label, variant) if known else None


def _cell(score: Score | None) -> Cell:
    return Cell() if score is None else Cell(value=score.value, low=score.low, high=score.high)


def _p_cell(p_value: float | None) -> Cell:
    """No test finds a p of 0."""
    return Cell(text="< 0.0001") if p_value is not None and p_value < 1e-4 else Cell(value=p_value)
