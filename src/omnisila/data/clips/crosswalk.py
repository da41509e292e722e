"""Labels of one set that follow from those of another: what the footage's implicit labels say in Hawkeye's words.

Only what is true of the footage is carried over. Fire has no counterpart: UCF-Crime's Arson is a deed with an intent,
and none of the set's fires is known to be one.
"""

from collections.abc import Mapping, Sequence

from omnisila.data.clips.clip import Clip

ANOMALY_OF_IMPLICIT = {
    "Fighting": "Fighting",
    "Traffic Accidents": "Accident",
    "Robbery": "Robbery",
    "Vandalism": "Vandalism",
    "Normal": "Normal",
}
ANOMALY_OF_SET = {("shoplifting_mnnit", "Theft"): "Shoplifting"}  # this set's thefts all happen in a shop


def judged_as(clips: Sequence[Clip], label_sets: Sequence[str]) -> tuple[Clip, ...]:
    """The clips with a label of each label set that their own labels imply; those without one stay as they are."""
    return tuple(_judged(clip) for clip in clips) if "anomaly" in label_sets else tuple(clips)


def unjudged(clips: Sequence[Clip], label_sets: Sequence[str]) -> Mapping[str, int]:
    """How many clips of each data set no label set of these can be asked about."""
    lost = [clip.set_name for clip in clips if not clip.labels.keys() & set(label_sets)]
    return {name: lost.count(name) for name in dict.fromkeys(lost)}


def _judged(clip: Clip) -> Clip:
    implicit = clip.labels.get("implicit", "")
    anomaly = ANOMALY_OF_SET.get((clip.set_name, implicit)) or ANOMALY_OF_IMPLICIT.get(implicit)
    if anomaly is None or "anomaly" in clip.labels:
        return clip
    return clip.replace(labels={**clip.labels, "anomaly": anomaly})
