"""Every format is found by looking, and a timeline survives each of them to 1 ms."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.errors import InputError, RecordError
from omnisila.predictions.analyses import parse_analysis
from omnisila.predictions.places import Place
from omnisila.predictions.span_files import read_spans
from omnisila.predictions.spans import StatedSpan
from omnisila.report.exports import activitynet, csv, elan, exporter, fiftyone, formats, json, label_studio, vtt
from omnisila.schema import Analysis, Finding, ModelIdentity, Span, VideoIdentity

# what a format could trip over: separators, quotes, markup, line ends of all kinds, other scripts
text = st.text("ab é·,;\"'<>&-#\t\n\r\x0b\x85\u2028汉🔥=%", min_size=1, max_size=20)
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
    assert {"activitynet", "csv", "elan", "fiftyone", "json", "label_studio", "vtt"} <= set(formats())
    assert len({exporter(name).suffix for name in formats()}) == len(formats()), "outputs of one video do not collide"
    for name in formats():
        assert exporter(name).suffix
        assert isinstance(exporter(name).export(analysis(FIGHT)), str)


def test_unknown_format_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'docx' does not exist\. Choose from: .*vtt"):
        exporter("docx")


def test_json_loses_nothing() -> None:
    assert parse_analysis(json.export(analysis(FIGHT))) == analysis(FIGHT)


def test_json_of_something_else_names_the_field() -> None:
    broken = json.export(analysis(FIGHT)).replace('"end_s":14.0', '"end_s":2.0')

    with pytest.raises(RecordError, match=r"findings\.0\.span.*empty or inverted"):
        parse_analysis(broken)


@pytest.mark.parametrize("form", [activitynet, csv, elan, fiftyone])
@given(found=st.lists(findings(), max_size=4, unique_by=lambda finding: finding.score))
def test_round_trip_through_other_programs_forms(
    tmp_path_factory: pytest.TempPathFactory, form: ModuleType, found: list[Finding]
) -> None:
    back = _read_back(tmp_path_factory.mktemp("x"), form, analysis(*found))
    assert len(back) == len(found)
    for ours, theirs in zip(sorted(back, key=lambda span: span.score), _by_score(found), strict=True):
        assert ours.times_s == pytest.approx((theirs.span.start_s, theirs.span.end_s), abs=1e-3)
        assert ours[2:] == (theirs.label, theirs.score, theirs.labels, theirs.cause)


@given(st.lists(findings(), max_size=4, unique_by=lambda finding: finding.score), st.none() | st.floats(1, 1000))
def test_round_trip_through_frames_is_exact_to_half_a_frame(
    tmp_path_factory: pytest.TempPathFactory, found: list[Finding], rate_hz: float | None
) -> None:
    record = analysis(*found)
    record = record.replace(video=record.video.replace(rate_hz=rate_hz))
    frame_s = 1 / (rate_hz or 24.0)
    back = _read_back(tmp_path_factory.mktemp("x"), label_studio, record)
    assert len(back) == len(found)
    for ours, theirs in zip(sorted(back, key=lambda span: span.score), _by_score(found), strict=True):
        start_s, end_s = ours.times_s
        assert start_s == pytest.approx(theirs.span.start_s, abs=0.5001 * frame_s + 1e-6)
        shown = 0.5001 if theirs.span.duration_s >= frame_s else 1.5  # nothing shorter than a frame can be shown
        assert end_s == pytest.approx(theirs.span.end_s, abs=shown * frame_s + 1e-6)
        assert ours[2:] == (theirs.label, theirs.score, theirs.labels, theirs.cause)


def _read_back(folder: Path, form: ModuleType, record: Analysis) -> list[StatedSpan]:
    path = folder / f"x.{form.SUFFIX}"
    path.write_text(form.export(record), encoding="utf-8", newline="")
    return [span for _, spans in read_spans(path, Place("x", "spans")) for span in spans]


def _by_score(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: finding.score))


def test_vtt_is_what_players_expect() -> None:
    lines = vtt.export(analysis(FIGHT)).split("\n")

    assert lines[0] == "WEBVTT"
    assert "00:00:08.000 --> 00:00:14.000" in lines
    assert "Fighting · implicit · 0.9300" in lines
    assert sum("-->" in line for line in lines) == 1
