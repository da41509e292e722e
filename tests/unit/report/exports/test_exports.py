"""Every format is found by looking, and a timeline survives each of them to 1 ms."""

from collections.abc import Iterable
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnisila.errors import InputError, RecordError
from omnisila.report.exports import activitynet, csv, elan, exporter, fiftyone, formats, json, label_studio, vtt
from omnisila.schema import Analysis, Finding, ModelIdentity, Span, VideoIdentity

# what a format could trip over: separators, quotes, markup, line ends of all kinds, other scripts
text = st.text("ab é·,;\"'<>&-#\t\n\r\x0b\x85\u2028汉🔥=%", min_size=1, max_size=20)
steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be busy
seconds = st.floats(0, 400_000, allow_subnormal=False)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    start_s = draw(seconds)
    end_s = start_s + draw(st.floats(1e-3, 4000))
    return Finding(
        span=Span(start_s=start_s, end_s=end_s),
        label=draw(text),
        labels=draw(text),
        score=draw(st.floats(0, 1)),
        cause=draw(st.none() | text),
    )


def analysis(*found: Finding, path: str = "a/clip é --> x.mp4") -> Analysis:
    return Analysis(
        video=VideoIdentity(
            path=path, sha256="ab" * 32, duration_s=22.08, rate_hz=12.0, width_px=320, height_px=240, decoded_ratio=1.0
        ),
        labels=("implicit",),
        labels_not_scored=(),
        model=ModelIdentity(name="compact", version="1", digest="cd"),
        findings=found,
        anomaly_curve=(),
        expert_weights=(),
    )


FIGHT = Finding(
    span=Span(start_s=8.0, end_s=14.0), label="Fighting", labels="implicit", score=0.93,
    cause="Two people close to each other.\n\nFast arms --> & <blows> · 50 %",
)  # fmt: skip


def test_formats_are_found_by_looking() -> None:
    assert formats() == ("activitynet", "csv", "elan", "fiftyone", "json", "label_studio", "vtt")
    assert len({exporter(name).suffix for name in formats()}) == len(formats()), "outputs of one video do not collide"
    for name in formats():
        assert exporter(name).suffix
        assert isinstance(exporter(name).export(analysis(FIGHT)), str)


def test_unknown_format_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'docx' does not exist\. Choose from: .*vtt"):
        exporter("docx")


def test_json_loses_nothing() -> None:
    assert json.read(json.export(analysis(FIGHT))) == analysis(FIGHT)


def test_json_of_something_else_names_the_field() -> None:
    broken = json.export(analysis(FIGHT)).replace('"end_s":14.0', '"end_s":2.0')

    with pytest.raises(RecordError, match=r"findings\.0\.span.*empty or inverted"):
        json.read(broken)


@steady
@given(st.lists(findings(), max_size=4))
def test_csv_round_trip(found: list[Finding]) -> None:
    _assert_same(csv.read(csv.export(analysis(*found))), found, score_tolerance=0)


@steady
@given(st.lists(findings(), max_size=4))
def test_vtt_round_trip(found: list[Finding]) -> None:
    _assert_same(vtt.read(vtt.export(analysis(*found))), found, score_tolerance=5.1e-5)


@pytest.mark.parametrize("form", [activitynet, elan, fiftyone])
@steady
@given(found=st.lists(findings(), max_size=4, unique_by=lambda finding: finding.score))
def test_round_trip_through_other_programs_forms(form: ModuleType, found: list[Finding]) -> None:
    back = form.read(form.export(analysis(*found)))
    _assert_same(_by_score(back), list(_by_score(found)), score_tolerance=0)


@steady
@given(st.lists(findings(), max_size=4, unique_by=lambda finding: finding.score), st.none() | st.floats(1, 1000))
def test_round_trip_through_frames_is_exact_to_half_a_frame(found: list[Finding], rate_hz: float | None) -> None:
    record = analysis(*found)
    record = record.replace(video=record.video.replace(rate_hz=rate_hz))
    frame_s = 1 / (rate_hz or label_studio.DEFAULT_RATE_HZ)
    back = label_studio.read(label_studio.export(record))
    assert len(back) == len(found)
    for ours, theirs in zip(_by_score(back), _by_score(found), strict=True):
        assert ours.span.start_s == pytest.approx(theirs.span.start_s, abs=0.5001 * frame_s + 1e-6)
        shown = 0.5001 if theirs.span.duration_s >= frame_s else 1.5  # nothing shorter than a frame can be shown
        assert ours.span.end_s == pytest.approx(theirs.span.end_s, abs=shown * frame_s + 1e-6)
        assert ours.replace(span=theirs.span) == theirs


def _by_score(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: finding.score))


def _assert_same(back: tuple[Finding, ...], found: list[Finding], *, score_tolerance: float) -> None:
    assert len(back) == len(found)
    for ours, theirs in zip(back, found, strict=True):
        assert ours.span.start_s == pytest.approx(theirs.span.start_s, abs=1e-3)
        assert ours.span.end_s == pytest.approx(theirs.span.end_s, abs=1e-3)
        assert (ours.label, ours.labels, ours.cause) == (theirs.label, theirs.labels, theirs.cause)
        assert ours.score == pytest.approx(theirs.score, abs=score_tolerance, rel=0)


def test_vtt_is_what_players_expect() -> None:
    lines = vtt.export(analysis(FIGHT)).split("\n")

    assert lines[0] == "WEBVTT"
    assert "00:00:08.000 --> 00:00:14.000" in lines
    assert "Fighting · implicit · 0.9300" in lines
    assert sum("-->" in line for line in lines) == 1


def test_vtt_from_an_editor_with_short_times_settings_and_windows_line_ends() -> None:
    cue = "00:08.500 --> 01:14.000 align:left\r\nFire · implicit · 1\r\n"
    edited = "\ufeffWEBVTT - title\r\n\r\nSTYLE\r\n::cue { }\r\n\r\n" + cue

    assert vtt.read(edited) == (
        Finding(span=Span(start_s=8.5, end_s=74.0), label="Fire", labels="implicit", score=1.0, cause=None),
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("1\n00:00:01 --> 00:00:02\nx", "line 1"),
        ("WEBVTT\n\n1\n00:01 --> 00:02\nFire · implicit · 0.5", "line 4"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nhello", "line 3"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000", "line 3"),
        ("WEBVTT\n\n\n00:03.000 --> 00:02.000\nFire · implicit · 0.5", "line 4: .*inverted"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nFire · implicit · much", "line 3"),
    ],
)
def test_malformed_vtt_names_the_line(written: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        vtt.read(written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "no column end_s"),
        ("start_s,end_s,label\n1,2,Fire\n", "no column labels"),
        ("start_s,end_s,label,labels,score\n1,2,Fire,implicit,1\n5,4,Fire,implicit,1\n", "line 3: .*inverted"),
        ("start_s,end_s,label,labels,score\n1\n", "line 2"),
        ("start_s,end_s,label,labels,score\none,2,Fire,implicit,1\n", "line 2: .*one"),
        ('start_s,end_s,label,labels,score\n1,2,Fire,implicit,"1\n', "after line 1: unexpected end"),
    ],
)
def test_malformed_csv_names_the_line(written: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        csv.read(written)
