"""The page: whole, self-contained, escaped, readable without a script, and honest."""

import io
import json
import re

import pytest
from PIL import Image

from omnisila.report.page import render_page
from omnisila.report.previews import Clip, FindingMedia, KeyFrame, PageMedia
from omnisila.schema import Analysis, Span

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), (90, 90, 90)).save(file, "JPEG")
    return file.getvalue()


def media(record: Analysis, clips: bool = True) -> PageMedia:
    """A frame half a second into each finding, and something that stands for its clip."""
    if not record.findings:
        return PageMedia((), KeyFrame(3.5, picture()))
    return PageMedia(
        tuple(
            FindingMedia(
                (KeyFrame(one.span.start_s + 0.5, picture()),),
                Clip(one.span.start_s, one.span.end_s, b"mp4 %d" % number) if clips else None,
            )
            for number, one in enumerate(record.findings)
        )
    )


@pytest.fixture
def eventful(make_analysis, make_finding) -> Analysis:
    return make_analysis(
        make_finding(2, 6), make_finding(4, 8, "Theft", 0.7), make_finding(3, 9, "negative", 0.8),
        make_finding(12, 15, "positive", 0.6),
    )  # fmt: skip


def test_a_page_is_whole_and_its_links_lead_somewhere(eventful, make_analysis, parsed):
    for record in (eventful, make_analysis()):
        page = parsed(render_page(record, media(record), "../clip.mp4", model_card="# compact\n\nText."))
        ids = [found["id"] for _, found in page.elements if "id" in found]
        assert len(ids) == len(set(ids))
        targets = [link["href"][1:] for link in page.all("a") if (link["href"] or "").startswith("#")]
        named = [word for _, one in page.elements for word in (one.get("aria-labelledby") or "").split()]
        assert set(targets) | set(named) <= set(ids)
        assert len(targets) >= 2
        assert page.all("html") == [{"lang": "en"}]
        assert all("alt" in image for image in page.all("img"))


def test_every_finding_is_told_everywhere(eventful, parsed):
    page = parsed(render_page(eventful, media(eventful), None))
    assert page.text.count("Fighting") >= 3
    for number, one in enumerate(eventful.findings):
        assert len(page.all("a", href=f"#finding-{number + 1}")) == 2, "in the list and on the time line"
        assert len(page.all("article", id=f"finding-{number + 1}")) == 1
        assert page.text.count(one.cause) >= 2
        assert f"{one.score:.2f}" in page.text
    assert "Negative sentiment 0:03–0:09" in page.text
    assert "4 findings in 20 seconds. The strongest: Fighting from 0:02 to 0:06." in page.text
    rows = [re.search(r"--row: (\d)", bar["style"]).group(1) for bar in page.all("a") if "style" in bar]
    assert rows == ["0", "1", "0", "0"], "findings that overlap stand in different rows of their lane"


def test_evidence_is_readable_and_drawn(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(2, 6))
    page = parsed(render_page(record, media(record), None))
    assert "person within reach of backpack 0:02.5 · 0.60" in page.text
    assert "angry face 0:02.5 · 0.90" in page.text
    assert "track 4" in page.text
    assert "angry 0.70" in page.text
    assert "Faces none" in page.text, "a scene that was not there, or that the model does not read, has no weight"
    for name in ("o-faces", "o-people", "o-objects", "o-relations"):
        assert page.classed(name), name
        assert page.all("input", id=name.replace("o-", "show-"))
    assert len(page.classed("faint")) == 1, "the limb to the unsure wrist"
    assert page.text.count("backpack 0.60") == 1
    assert "person 0.80" not in page.text, "people are drawn as poses, not again as objects"


def test_text_from_outside_stays_text(make_analysis, make_finding, parsed):
    one = make_finding(2, 6, label=ATTACK, cause=ATTACK, labels=ATTACK)
    thing = one.evidence.objects[1].replace(name=ATTACK)
    triplet = one.evidence.triplets[0].replace(subject=ATTACK, predicate=ATTACK)
    face = one.evidence.faces[0].replace(expressions={ATTACK: 1.0})
    one = one.replace(evidence=one.evidence.replace(objects=(thing,), triplets=(triplet,), faces=(face,)))
    record = make_analysis(one, path=f"{ATTACK}/{ATTACK}.mp4", labels=(ATTACK, "implicit"), warnings=(ATTACK,),
                           labels_not_scored=(ATTACK,), timings_s={ATTACK: 1.0}, intensities={ATTACK: 0.5})  # fmt: skip
    record = record.replace(model=record.model.replace(name=ATTACK, digest=ATTACK))
    harmless = make_analysis(make_finding(2, 6))
    html = render_page(record, media(record), ATTACK, model_card=ATTACK, calibration_note=ATTACK)
    page, plain = parsed(html), parsed(render_page(harmless, media(harmless), "x", model_card="x"))
    assert len(page.all("script")) == len(plain.all("script"))
    assert len(page.all("img")) == len(plain.all("img"))
    assert not [name for _, found in page.elements for name in found if name.startswith("on")]
    assert page.text.count("alert(1)") > 10
    assert "</script><img" not in html


def test_the_record_is_embedded_whole(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(2, 6, cause="</script>\u2028 & <!-- 漢字 🔥 é"))
    html = render_page(record, media(record), None)
    text = re.search(r'<script type="application/json" id="analysis">(.*?)</script>', html, re.DOTALL).group(1)
    assert not set("<>&\u2028") & set(text)
    assert Analysis.model_validate(json.loads(text)) == record
    assert parsed(html).text.count("漢字 🔥 é") >= 2


def test_nothing_is_loaded_from_anywhere(eventful, parsed):
    html = render_page(
        eventful, media(eventful), "../clip%20a.mp4",
        model_card="![p](http://a.b/p.png) [l](http://a.b) <img src=http://a.b> <http://a.b>\n\n[r]: http://a.b\n\n[r]",
    )  # fmt: skip
    page = parsed(html)
    addresses = {
        value
        for _, found in page.elements
        for name, value in found.items()
        if name in ("src", "href", "srcset", "poster")
    }
    outside = {value for value in addresses if not value.startswith(("data:image/jpeg;base64,", "#"))}
    assert outside == {"../clip%20a.mp4"}
    styles = "".join(page.scripts)
    assert "url(" not in styles
    assert "@import" not in styles
    (policy,) = (one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize(("href", "shown"), [
    ("clip.mp4", "clip.mp4"), ("file:///a/clip.mp4", "file:///a/clip.mp4"), ("https://a.b/c.mp4", "https://a.b/c.mp4"),
    ("javascript:alert(1)", "./javascript:alert(1)"), ("data:text/html,x", "./data:text/html,x"),
])  # fmt: skip
def test_the_original_is_a_link_to_a_file(eventful, parsed, href, shown):
    page = parsed(render_page(eventful, media(eventful), href))
    assert [one["href"] for one in page.all("a", id="original")] == [shown]


def test_a_video_with_nothing_to_report_says_so_calmly(make_analysis, parsed):
    record = make_analysis()
    page = parsed(render_page(record, media(record), "clip.mp4"))
    assert "Nothing to report: in 20 seconds of video, none of the 2 labels that were looked for" in page.text
    assert "peaks at 0.60 at 0:03" in page.text
    assert "not proof that nothing happened" in page.text
    assert page.text.count("none found") == 2
    assert page.classed("line")[0]["d"].count("L") == 21
    assert page.all("video") == []
    assert page.all("article") == []


def test_even_an_empty_record_has_a_page(make_analysis, parsed):
    record = make_analysis(anomaly_curve=(), expert_weights=(), timings_s={}, duration_s=0.0, labels=())
    record = record.replace(video=record.video.replace(width_px=0, height_px=0, rate_hz=None))
    page = parsed(render_page(record, PageMedia(()), None))
    assert "Nothing to report" in page.text
    assert "not stated" in page.text


def test_findings_without_pictures_are_told_too(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(2, 6, cause=None, expert_weights=None))
    page = parsed(render_page(record, PageMedia((FindingMedia(),)), None))
    assert "No picture could be shown for this finding." in page.text
    assert "No cause: nothing that was seen" in page.text
    assert page.classed("clip") == []


def test_media_must_belong_to_the_findings(eventful):
    with pytest.raises(ValueError, match="zip"):
        render_page(eventful, PageMedia(()), None)


def test_limits_and_duties_stand_on_the_page(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(2, 6), decoded_ratio=0.9831, warnings=("1.0-2.0 s could not be decoded",))
    page = parsed(render_page(record, media(record)._replace(faces_blurred=True), None, calibration_note="Lab only."))
    for words in (
        "1 warning", "1.0-2.0 s could not be decoded", "98.3 % of the video could be decoded", "Lab only.",
        "It must not be used", "a person looks at the video before anything is done", "It identifies no one",
        "Water Incidents (not scored)", "Faces are blurred", "5.0 s in all, 4.0 times as fast as real time",
        "omnisila models compact",
    ):  # fmt: skip
        assert words in page.text, words
    whole = parsed(render_page(make_analysis(decoded_ratio=0.99996), PageMedia(()), None))
    assert "99.9 %" in whole.text, "what is not all is never rounded to all"


def test_the_model_card_is_shown_as_text(make_analysis, parsed):
    card = "# Card\n\n| split | F2 |\n|---|---|\n| unseen | 0.71 |\n\nNo <b>HTML</b>, no [link](http://a.b)."
    page = parsed(render_page(make_analysis(), PageMedia(()), None, model_card=card))
    assert "unseen 0.71" in page.text
    assert len(page.all("table")) == 1
    assert page.all("b") == []
    assert "[link](http://a.b)" in page.text


def test_holes_in_the_curve_stay_holes_and_long_videos_can_be_magnified(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(3000, 3001), duration_s=3600.0)
    kept = [point for point in record.anomaly_curve if not 100 <= point.start_s < 160]
    page = parsed(render_page(record.replace(anomaly_curve=tuple(kept)), media(record), None))
    assert page.classed("line")[0]["d"].count("M") == 2
    assert [one["data-zoom"] for one in page.all("button")] == ["1", "4", "16"]
    assert "50:00–50:01" in page.text
    assert "1:00:00" in page.text
    short = make_analysis()
    assert parsed(render_page(short, media(short), None)).all("button") == []


def test_names_of_every_script_are_kept(make_analysis, parsed):
    name = "Überwachung 監視 اختبار 🔥.mp4"
    page = parsed(render_page(make_analysis(path=f"/x y/{name}\n/\u202e4pm.{name}"), PageMedia(()), None))
    assert f"%E2%80%AE4pm.{name}" in page.text
    assert f"{name}%0A" in page.text
    assert len(page.all("bdi")) == 2, "a name's direction does not spill over"


def test_overlapping_label_sets_of_ones_own_have_their_lane(make_analysis, make_finding, parsed):
    record = make_analysis(make_finding(1, 2, "Queue", labels="shop"), labels=("shop",), anomaly_curve=(
        make_analysis().anomaly_curve[0].replace(posterior={"shop": {"Queue": 0.8, "Empty": 0.2}}),))  # fmt: skip
    page = parsed(render_page(record, media(record), None))
    assert "Shop (shop) Queue Empty" in page.text
    assert record.findings[0].span == Span(start_s=1, end_s=2)
