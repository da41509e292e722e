"""Labels that follow from other labels: what is true of the footage in Hawkeye's words, and nothing else."""

import pytest

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.sets import count_untaught, with_implied_labels


def clip(set_name: str, label: str) -> AnnotatedVideo:
    return AnnotatedVideo(
        set_name=set_name, id=label, path=f"{set_name}/{label}.mp4", labels={"implicit": label}, sources=("s",),
        throughout=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("set_name", "label", "anomaly"),
    [
        ("fight_surv", "Fighting", "Fighting"),
        ("shoplifting_mnnit", "Theft", "Shoplifting"),
        ("falls", "Theft", None),  # a theft outside a shop is no shoplifting
        ("accident_seq", "Traffic Accidents", "Accident"),
        ("fire_smoke", "Fire", None),  # no one is known to have set it
        ("fire_smoke", "Normal", "Normal"),
    ],
)
def test_a_label_is_carried_over_where_it_stays_true(set_name: str, label: str, anomaly: str | None):
    (judged,) = with_implied_labels([clip(set_name, label)], ("anomaly",))
    assert judged.labels.get("anomaly") == anomaly
    assert judged.labels["implicit"] == label


def test_clips_stay_as_they_are_where_no_one_asks():
    clips = (clip("fight_surv", "Fighting"), clip("fire_smoke", "Fire"))
    assert with_implied_labels(clips, ("implicit", "explicit")) == clips


def test_what_cannot_be_asked_about_is_counted_by_set():
    clips = with_implied_labels([clip("fire_smoke", "Fire"), clip("fire_smoke", "Normal")], ("anomaly",))
    assert count_untaught(clips, {"anomaly": ("Accident", "Normal")}) == {"fire_smoke: Fire": 1}
