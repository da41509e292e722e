"""Reaction intensities on the page, in the index and in the formats for other programs."""

import pytest

from omnisila.report.exports import csv, exporter, formats
from omnisila.report.index import IndexEntry, rank_entries, render_index
from omnisila.report.page import render_page
from omnisila.report.previews import PageMedia, peak_s
from omnisila.report.wording import summary
from omnisila.schema import Analysis, IntensityPoint

WHOLE = {"Amusement": 0.5, "Fear": 0.2, "Surprise": 0.3}


@pytest.fixture
def make_reaction(make_analysis):
    """``make_reaction(**changes)``: two windows of 10 s, no events asked for."""

    def make(**changes) -> Analysis:
        values = {
            "labels": ("reaction",), "labels_not_scored": ("Disgust",), "anomaly_curve": (), "expert_weights": (),
            "intensities": WHOLE, "intensity_curve": (
                IntensityPoint(start_s=0.0, end_s=10.0, intensities={"Amusement": 0.4, "Fear": 0.1, "Surprise": 0.7}),
                IntensityPoint(start_s=10.0, end_s=20.0, intensities={"Amusement": 0.6, "Fear": 0.3, "Surprise": 0.1}),
            ),
        }  # fmt: skip
        return make_analysis(**(values | changes))

    return make


def test_the_page_tells_each_emotion_over_time_and_of_the_whole(make_reaction, parsed):
    record = make_reaction()
    page = parsed(render_page(record, PageMedia(()), "../clip.mp4"))
    assert "The strongest reaction over 20 seconds of video: Amusement, 0.50 of 1." in page.text
    assert "Surprise 0.30 0.70 at 0:00" in page.text
    (chart,) = page.classed("emotions")
    assert "strongest Surprise, 0.70 at 0:00–0:10" in (chart["aria-label"] or "")
    lines = [line["d"] or "" for line in page.all("path")]
    assert len(lines) == len(WHOLE)
    assert lines[0].startswith("M0 60L250 60L750 40L1000 40")  # through the middles of the windows
    assert len({line["class"] for line in page.all("path")}) == len(WHOLE)
    for absent in ("Nothing to report", "Expert weights", "threshold", "Causes name"):
        assert absent not in page.text.replace(record.model.name, "").replace("These thresholds hold only", "")
    targets = [link["href"][1:] for link in page.all("a") if (link["href"] or "").startswith("#")]
    assert set(targets) <= {found["id"] for _, found in page.elements if "id" in found}
    assert peak_s(record) == 5.0


def test_what_was_not_seen_is_not_told_as_measured(make_reaction, parsed):
    first, _ = make_reaction().intensity_curve
    late = first.replace(start_s=30.0, end_s=40.0)
    record = make_reaction(intensities=None, intensity_curve=(first, late))  # two looks at a face between others
    page = parsed(render_page(record, PageMedia(()), None))
    assert "Surprise – 0.70 at 0:00" in page.text
    assert [line["d"].count("M") for line in page.all("path")] == [2, 2, 2]
    assert summary(record).startswith("Reactions were measured in 2 windows alone")
    nothing = make_reaction(intensities=None, intensity_curve=())
    assert summary(nothing).startswith("No reaction was measured")
    for one in (record, nothing):
        assert "Nothing to report" not in parsed(render_page(one, PageMedia(()), None)).text
        assert "measured in 0, none in 1" in render_index([IndexEntry.of(one, "a")])
    assert list(csv.export(nothing).splitlines()) == [",".join(csv.COLUMNS)]


def test_reactions_stand_beside_events(make_reaction, make_analysis, parsed):
    events = make_analysis()
    record = make_reaction(labels=("implicit", "reaction"), anomaly_curve=events.anomaly_curve)
    page = parsed(render_page(record, PageMedia(()), None))
    assert "Nothing to report" in page.text
    assert "Reactions over the whole video" in page.text
    assert "of events" in page.text
    assert "Reactions none found" not in page.text
    assert summary(record).startswith("Nothing to report: in 20 seconds of video, none of the 1 labels")
    assert summary(record).endswith("The strongest reaction: Amusement, 0.50 of 1.")


def test_a_page_of_the_whole_alone_and_of_one_window(make_reaction, parsed):
    whole = parsed(render_page(make_reaction(intensity_curve=()), PageMedia(()), None))
    assert "Fear 0.20" in whole.text
    assert not whole.classed("emotions")
    (one, _) = make_reaction().intensity_curve
    single = parsed(render_page(make_reaction(intensity_curve=(one,)), PageMedia(()), None))
    assert "beside them" not in single.text
    assert single.classed("emotions")


def test_the_index_ranks_by_the_strongest_reaction(make_reaction, parsed):
    weak = make_reaction(intensities={**WHOLE, "Amusement": 0.31})
    entries = [IndexEntry.of(weak, "weak.mp4"), IndexEntry.of(make_reaction(), "strong.mp4")]
    assert [one.name for one in rank_entries(entries)] == ["strong.mp4", "weak.mp4"]
    assert all(one.curve for one in entries)
    text = parsed(render_index(entries)).text
    assert "Reactions measured in 2" in text
    assert "Strongest reaction: Amusement 0.31" in text
    assert "Nothing to report" not in text
    mixed = [IndexEntry.of(make_reaction(labels=("implicit", "reaction")), "mixed.mp4")]
    assert "0 with findings, 1 with nothing to report" in parsed(render_index(mixed)).text


def test_csv_holds_the_intensities(make_reaction, make_finding):
    found = make_finding(2, 6)
    text = csv.export(make_reaction(findings=(found,)))
    rows = text.splitlines()
    assert len(rows) == 1 + 1 + 3 + 6
    assert rows[2] == "a/clip.mp4,0.000,20.000,reaction,Amusement,0.5,,whole video"
    assert rows[-1] == "a/clip.mp4,10.000,20.000,reaction,Surprise,0.1,,window"


@pytest.mark.parametrize("name", formats())
def test_every_format_takes_an_analysis_without_findings(make_reaction, name):
    assert exporter(name).export(make_reaction())
