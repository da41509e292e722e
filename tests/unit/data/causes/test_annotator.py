"""The two-pass annotator against a real server on this machine, with real small videos."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo
from omnisila.data.causes.annotator import (
    Annotator,
    Unwritten,
    WrittenCause,
    estimate_run,
    read_causes,
    read_done,
    uncaused_spans,
)
from omnisila.endpoint import EndpointConfig
from omnisila.errors import InputError, RecordError
from omnisila.schema import Span, Truth


def _truth(start_s: float, end_s: float, cause: str | None = None) -> Truth:
    return Truth(span=Span(start_s=start_s, end_s=end_s), label="negative", cause=cause)


def _set(*videos: tuple[str, Sequence[Truth] | None]) -> AnnotatedSet:
    return AnnotatedSet(
        name="tsl300",
        videos=tuple(
            AnnotatedVideo(
                id=name, path=f"{name}.mp4", labels={"explicit": None}, split="train", sources=(name,),
                truth=None if truths is None else tuple(truths),
            )
            for name, truths in videos
        ),
    )  # fmt: skip


def _config(server: Any, **settings: Any) -> EndpointConfig:
    return EndpointConfig(base_url=server.base_url, model="seer", key_variable="TEST_KEY", **settings)


def _run(server: Any, annotated: AnnotatedSet, footage: Path, out: Path) -> list[WrittenCause | Unwritten]:
    with _config(server, retries=1).build() as endpoint:
        return list(Annotator(endpoint).run(uncaused_spans(annotated), footage, out))


def _answer(prompt: str, pictures: Sequence[bytes]) -> str:
    if pictures:
        return "nothing" if "faces" in prompt else f"seen {len(pictures)}"
    return "a man runs;  people stare ; nothing"


def test_a_span_is_shown_four_times_and_summed_up(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], frame_level: Callable[[int], int], tmp_path: Path
) -> None:
    make_video("a.mp4", frames=24, rate_hz=12, width_px=1024, height_px=48)
    server = chat_server(answer=_answer, refused=[429])
    out = tmp_path / "causes.jsonl"
    (written,) = _run(server, _set(("a", [_truth(1.0, 2.0)])), tmp_path, out)
    assert isinstance(written, WrittenCause)
    assert list(read_causes(out)) == [written]
    assert (written.id, written.cause) == ("tsl300/a#1000-2000-negative", "a man runs; people stare")
    assert written.frame_times_s == pytest.approx([1.0625 + i / 8 for i in range(8)])
    assert server.requests == 6
    assert [len(pictures) for pictures in server.pictures] == [8, 8, 8, 8, 0]
    shown = [np.asarray(Image.open(io.BytesIO(picture))) for picture in server.pictures[0]]
    assert {picture.shape for picture in shown} == {(24, 512, 3)}
    assert [picture[-4:, -4:].mean() for picture in shown] == pytest.approx(
        [frame_level(int(time_s * 12)) for time_s in written.frame_times_s], abs=4
    )
    asked = [*written.aspects.values(), written.summary]
    assert sorted(exchange.prompt for exchange in asked) == sorted(server.prompts)
    assert {exchange.model for exchange in asked} == {"seer-2026"}
    assert [exchange.answer for exchange in written.aspects.values()] == ["nothing", "seen 8", "seen 8", "seen 8"]
    assert all("negative" in prompt for prompt in server.prompts)
    assert "- action: seen 8" in written.summary.prompt
    assert (written.summary.prompt_tokens, written.summary.completion_tokens) == (100, 7)


def test_a_killed_run_goes_on_without_asking_again(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video("a.mp4")
    server, out = chat_server(), tmp_path / "causes.jsonl"
    annotated = _set(("a", [_truth(0.0, 1.0), _truth(1.0, 2.0), _truth(0.5, 1.5)]))
    with _config(server).build() as endpoint:
        running = Annotator(endpoint).run(uncaused_spans(annotated), tmp_path, out)
        first = [next(running), next(running)]
    data = out.read_bytes()
    out.write_bytes(data[:-50])  # the kill came while the second line was written
    server.asked.clear()
    later = _run(server, annotated, tmp_path, out)
    assert len(server.asked) == 10
    assert [written.id for written in read_causes(out)] == [first[0].id, *(written.id for written in later)]
    assert [one.id for one in later] == ["tsl300/a#1000-2000-negative", "tsl300/a#500-1500-negative"]
    assert _run(server, annotated, tmp_path, out) == []


def test_a_span_that_fails_is_named_and_the_rest_goes_on(
    chat_server: Callable[..., Any],
    make_video: Callable[..., Path],
    make_bad_file: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    make_video("good.mp4")
    make_bad_file("bad.mp4", "text")
    annotated = _set(
        ("bad", [_truth(0.0, 1.0)]), ("gone", [_truth(0.0, 1.0)]), ("good", [_truth(0.0, 1.0), _truth(1.0, 1.5)])
    )
    server = chat_server(answer=lambda prompt, _: (400, "too dark") if "0.5 seconds" in prompt else "a man runs")
    out = tmp_path / "causes.jsonl"
    bad, gone, good, dark = _run(server, annotated, tmp_path, out)
    assert isinstance(good, WrittenCause)
    assert [one.id for one in read_causes(out)] == [good.id]
    assert isinstance(bad, Unwritten)
    assert "bad.mp4" in bad.reason
    assert isinstance(gone, Unwritten)
    assert "gone.mp4" in gone.reason
    assert isinstance(dark, Unwritten)
    assert "too dark" in dark.reason
    server.answer = lambda *_: "a man runs"
    assert [type(one) for one in _run(server, annotated, tmp_path, out)] == [Unwritten, Unwritten, WrittenCause]


def test_of_a_span_past_the_end_nothing_is_asked_and_one_is_cut_there(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video("a.mp4", frames=24, rate_hz=12)
    server = chat_server(answer=_answer)
    annotated = _set(("a", [_truth(1.0, 99.0), _truth(2.0, 9.0)]))
    cut, outside = _run(server, annotated, tmp_path, tmp_path / "causes.jsonl")
    assert isinstance(cut, WrittenCause)
    assert 1.0 < min(cut.frame_times_s) < max(cut.frame_times_s) < 2.0
    assert isinstance(outside, Unwritten)
    assert "it ends at 2 s, before the span at 2 s. Correct the annotation." in outside.reason
    assert server.requests == 5


def test_a_wrong_key_stops_at_once(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video("a.mp4")
    server = chat_server(answer=lambda *_: (401, "who are you"))
    with pytest.raises(InputError, match="TEST_KEY"):
        _run(server, _set(("a", [_truth(0.0, 1.0), _truth(1.0, 2.0)])), tmp_path, tmp_path / "causes.jsonl")
    assert 1 <= server.requests <= 4, "the aspects of the first span are asked about together, the second never"
    assert not (tmp_path / "causes.jsonl").exists()


def test_nothing_seen_is_an_answer(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video("a.mp4")
    server, out = chat_server(answer=lambda *_: "nothing"), tmp_path / "causes.jsonl"
    (written,) = _run(server, _set(("a", [_truth(0.0, 1.0)])), tmp_path, out)
    assert isinstance(written, WrittenCause)
    assert written.cause is None
    assert read_done(out) == {written.id}


def test_only_spans_without_a_cause_are_written_each_once() -> None:
    annotated = _set(
        ("a", [_truth(0.0, 1.0), _truth(0.0, 1.0), _truth(1.0, 2.0, cause="a man runs")]), ("weak", None), ("calm", [])
    )
    assert [span.id for span in uncaused_spans(annotated)] == ["tsl300/a#0-1000-negative"]


def test_an_estimate_counts_what_a_run_sends(
    chat_server: Callable[..., Any], make_video: Callable[..., Path], tmp_path: Path
) -> None:
    make_video("a.mp4")
    server = chat_server(answer=lambda *_: "x" * 240)
    endpoint = _config(server, price_in_per_million=2.0, price_out_per_million=10.0)
    spans = uncaused_spans(_set(("a", [_truth(0.0, 1.0), _truth(1.0, 2.0)])))
    estimate = estimate_run(spans[1:], endpoint)
    assert server.requests == 0
    _run(server, _set(("a", [_truth(1.0, 2.0)])), tmp_path, tmp_path / "causes.jsonl")
    sent_tokens = sum(len(prompt) for prompt in server.prompts) // 4 + 255 * sum(map(len, server.pictures))
    assert estimate[:4] == (server.requests, sum(map(len, server.pictures)), sent_tokens, 300)
    assert estimate.price == pytest.approx((sent_tokens * 2 + 300 * 10) / 1e6)
    assert estimate_run(spans, _config(server)).price is None


def test_a_file_of_something_else_is_refused(chat_server: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "causes.jsonl"
    out.write_text('{"id": "x"}\n')
    with pytest.raises(RecordError, match="line 1"):
        _run(chat_server(), _set(), tmp_path, out)
