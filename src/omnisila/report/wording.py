"""How the pages put times, sizes and evidence into words."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from omnisila.labels import EXPLICIT, LABEL_SETS, REACTION, LabelSet
from omnisila.schema import Analysis, Evidence, Finding, SceneName

LANES = {"implicit": "Events", "explicit": "Sentiment", "anomaly": "Anomalies", "reaction": "Reactions",
         "unusual": "Unusual"}  # fmt: skip


class Sighting(NamedTuple):
    """The same thing seen one or several times: its words, when, how often, and its best score."""

    text: str
    when: str
    times: int
    score: float


class Sightings(NamedTuple):
    """A finding's evidence as readable lists, the most frequent first."""

    faces: tuple[Sighting, ...]
    people: tuple[Sighting, ...]
    objects: tuple[Sighting, ...]
    triplets: tuple[Sighting, ...]
    others: dict[SceneName, tuple[Sighting, ...]]


class ScoredLabels(NamedTuple):
    """One label set's labels: which the model was trained on, and which it cannot find."""

    name: str
    lane: str
    scored: tuple[str, ...]
    not_scored: tuple[str, ...]


def clock(time_s: float, tenths: bool = False) -> str:
    """A time as ``1:02:03`` or ``2:03``; with tenths of a second where they matter."""
    total = int(time_s * 10 + 0.5) if tenths else int(time_s + 0.5) * 10  # halves up, as the page's script does
    seconds, tenth = divmod(total, 10)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{tenth}" if tenths else text


def span_text(start_s: float, end_s: float) -> str:
    """A span as ``0:08–0:14``, with tenths where whole seconds would hide its length."""
    tenths = any(abs(time_s - round(time_s)) > 0.05 for time_s in (start_s, end_s)) and end_s - start_s < 60
    return f"{clock(start_s, tenths)}–{clock(end_s, tenths)}"


def duration_text(duration_s: float) -> str:
    """A duration as people say it: ``22 seconds``, ``1 h 2 min``."""
    if duration_s < 10:
        return f"{duration_s:.1f} seconds"
    if duration_s < 90:
        return f"{duration_s:.0f} seconds"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def score_text(score: float) -> str:
    """A score with two decimals, as everywhere on the pages."""
    return f"{score:.2f}"


def kind(finding: Finding) -> str:
    """How a finding is coloured: ``event``, ``positive`` or ``negative`` sentiment."""
    known = LABEL_SETS.get(finding.labels)
    if known is not None and finding.label not in known.negative:
        return "positive"
    return "negative" if finding.labels == EXPLICIT.name else "event"


def headline(finding: Finding) -> str:
    """What a finding says, in two or three words: sentiments are named as such."""
    return f"{finding.label.capitalize()} sentiment" if finding.labels == EXPLICIT.name else finding.label


def why(finding: Finding) -> str:
    """What stands before a cause: whose words it is in, where nothing has checked them."""
    return "Why, in the model's own unchecked words" if finding.cause_by == "model" else "Why"


def lane(labels: str) -> str:
    """The name of a label set's lane on the time line."""
    return LANES.get(labels, labels.capitalize())


def by_strength(findings: Sequence[Finding]) -> list[int]:
    """Numbers of the findings, the best score first; the earlier one first where scores are equal."""
    return sorted(range(len(findings)), key=lambda number: (-findings[number].score, findings[number].span.start_s))


def located_label_sets(analysis: Analysis) -> tuple[str, ...]:
    """The label sets that give findings; of reactions only intensities are measured."""
    return tuple(labels for labels in analysis.labels if labels != REACTION.name)


def strongest(intensities: Mapping[str, float]) -> tuple[str, float]:
    """The label with the greatest intensity; the first one of equals."""
    return max(intensities.items(), key=lambda item: item[1])


def summary(analysis: Analysis) -> str:
    """One to three sentences: what, when, and how strong the reactions are."""
    told = [_events(analysis)] if located_label_sets(analysis) else []
    if analysis.intensities:
        label, value = strongest(analysis.intensities)
        over = "" if told else f" over {duration_text(analysis.video.duration_s)} of video"
        told.append(f"The strongest reaction{over}: {label}, {score_text(value)} of 1.")
    elif REACTION.name in analysis.labels:
        count = len(analysis.intensity_curve)
        windows = f"Reactions were measured in {count} window{'s' if count > 1 else ''} alone" if count else ""
        told.append(
            f"{windows or 'No reaction was measured'}: nothing {'else ' if count else ''}was seen that the model reads."
        )
    return " ".join(told)


def _events(analysis: Analysis) -> str:
    length = duration_text(analysis.video.duration_s)
    if not analysis.findings:
        asked = sum(
            len(labels.scored) for labels in scored_labels(analysis) if labels.name in located_label_sets(analysis)
        )
        scored = f"none of the {asked} labels that were looked for" if asked else "nothing that was looked for"
        return f"Nothing to report: in {length} of video, {scored} reached its threshold."
    best = analysis.findings[by_strength(analysis.findings)[0]]
    what = f"{headline(best)} from {clock(best.span.start_s)} to {clock(best.span.end_s)}"
    if len(analysis.findings) == 1:
        return f"One finding in {length}: {what}."
    return f"{len(analysis.findings)} findings in {length}. The strongest: {what}."


def scored_labels(analysis: Analysis) -> tuple[ScoredLabels, ...]:
    """For each label set asked for, the labels that were scored and those that were not."""
    posterior = analysis.anomaly_curve[0].posterior if analysis.anomaly_curve else {}
    found: list[ScoredLabels] = []
    for name in analysis.labels:
        known: LabelSet | None = LABEL_SETS.get(name)
        every = known.labels if known else tuple(posterior.get(name, {}))
        missing = set(analysis.labels_not_scored)
        scored = (
            tuple(posterior[name]) if name in posterior else tuple(label for label in every if label not in missing)
        )
        quiet = known.quiet if known else None
        found.append(
            ScoredLabels(
                name,
                lane(name),
                tuple(label for label in scored if label != quiet),
                tuple(label for label in every if label in missing),
            )
        )
    return tuple(found)


def sightings(evidence: Evidence) -> Sightings:
    """Evidence as lists a person can read; equal things are told once, with how often they were seen."""
    faces = [
        (f"{strongest(face.expressions)[0]} face" if face.expressions else "face", face.time_s, face.score)
        for face in evidence.faces
    ]
    people = [(f"track {person.track}", person.time_s, person.score) for person in evidence.people]
    objects = [(thing.name, thing.time_s, thing.score) for thing in evidence.objects if thing.name != "person"]
    triplets = [
        (f"{thing.subject} {thing.predicate.replace('_', ' ')} {thing.object}", thing.time_s, thing.score)
        for thing in evidence.triplets
    ]
    others: dict[SceneName, list[tuple[str, float, float]]] = defaultdict(list)
    for other in evidence.others:
        others[other.scene].append((other.name, other.time_s, other.score))
    told = {scene: _count_sightings(items) for scene, items in others.items()}
    return Sightings(
        _count_sightings(faces), _count_sightings(people), _count_sightings(objects), _count_sightings(triplets), told
    )


def _count_sightings(items: Sequence[tuple[str, float, float]]) -> tuple[Sighting, ...]:
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for text, time_s, score in items:
        seen[text].append((time_s, score))
    told: list[Sighting] = []
    for text, at in seen.items():
        first_s, last_s = min(time_s for time_s, _ in at), max(time_s for time_s, _ in at)
        when = clock(first_s, True) if first_s == last_s else f"{clock(first_s, True)}–{clock(last_s, True)}"
        told.append(Sighting(text, when, len(at), max(score for _, score in at)))
    return tuple(sorted(told, key=lambda sighting: (-sighting.times, -sighting.score, sighting.text)))
