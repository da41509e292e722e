"""The index: the video to look at first on top, failures named, nothing loaded, everything escaped."""

import io

import pytest
from PIL import Image

from omnisila.report.index import IndexEntry, rank_entries, render_index


def thumb() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def entries(make_analysis, make_finding):
    loud = [one.replace(score=0.9) for one in make_analysis().anomaly_curve]
    return [
        IndexEntry.of(make_analysis(), "quiet.mp4", "quiet.mp4.html"),
        IndexEntry(name="bad.mp4", failure="bad.mp4: the file is empty (0 bytes). Copy it again."),
        IndexEntry.of(make_analysis(make_finding(1, 2, score=0.6)), "a/weak.mp4", "a/weak.mp4.html"),
        IndexEntry.of(make_analysis(anomaly_curve=tuple(loud)), "restless.mp4", "restless.mp4.html"),
        IndexEntry.of(
            make_analysis(make_finding(1, 2, score=0.3), make_finding(5, 9, "negative", 0.97)), "b & c/strong é.mp4",
            "b%20%26%20c/strong%20%C3%A9.mp4.html", thumb(),
        ),
    ]  # fmt: skip


def test_the_ranking(entries):
    names = [entry.name for entry in rank_entries(entries)]
    assert names == ["b & c/strong é.mp4", "a/weak.mp4", "restless.mp4", "quiet.mp4", "bad.mp4"]
    twins = [entries[0]._replace(name=name) for name in "ba"]
    assert [entry.name for entry in rank_entries(twins)] == ["a", "b"]


def test_the_page_shows_all_in_that_order(entries, parsed):
    page = parsed(render_index(entries))
    places = [page.text.index(name) for name in ("strong é", "weak", "restless", "quiet.mp4", "bad.mp4")]
    assert places == sorted(places)
    assert "5 videos 2 with findings, 2 with nothing to report, 1 not analysed" in page.text
    assert "Negative sentiment 0:05 Fighting 0:01" in page.text
    assert "bad.mp4 the file is empty (0 bytes). Copy it again." in page.text
    assert "0.97" in page.text
    assert "It identifies no one" in page.text
    assert len(page.classed("row")) == 4
    assert len([one for one in page.all("i") if "--left" in (one.get("style") or "")]) == 3


def test_nothing_is_loaded_and_everything_is_escaped(make_analysis, make_finding, parsed):
    attack = '"><script>alert(1)</script>'
    entry = IndexEntry.of(make_analysis(make_finding(1, 2, attack, labels=attack)), attack, "x.html", thumb())
    page = parsed(render_index([entry, IndexEntry(name=attack, failure=attack)]))
    assert page.all("script") == []
    assert page.text.count("alert(1)") >= 4
    addresses = {value for _, one in page.elements for name, value in one.items() if name in ("src", "href")}
    assert {value for value in addresses if not value.startswith("data:image/jpeg")} == {"x.html"}


def test_an_entry_is_small_however_long_the_video(make_analysis, make_finding):
    entry = IndexEntry.of(make_analysis(make_finding(1, 2), duration_s=3600.0), "hour.mp4")
    assert len(entry.curve) < 5000
    assert entry.peak == pytest.approx(0.6), "thinning keeps the peak"


def test_an_empty_run_and_a_run_of_failures_have_an_index(parsed):
    assert "0 videos" in parsed(render_index([])).text
    failed = parsed(render_index([IndexEntry(name="a.mp4", failure="it is empty")]))
    assert "1 video 0 with findings" in failed.text
