"""Analyses as the analyzer would give them."""

from collections.abc import Callable
from typing import Any

import pytest

from omnisila.schema import (
    Analysis,
    Box,
    CurvePoint,
    Evidence,
    ExpertWeightsPoint,
    FaceEvidence,
    Finding,
    JointEvidence,
    ModelIdentity,
    ObjectEvidence,
    PersonEvidence,
    Span,
    TripletEvidence,
    VideoIdentity,
)

LEFT = Box(left_frac=0.1, top_frac=0.2, right_frac=0.3, bottom_frac=0.9)
RIGHT = Box(left_frac=0.5, top_frac=0.2, right_frac=0.9, bottom_frac=0.8)


def seen(start_s: float) -> Evidence:
    """One of everything, half a second into a span."""
    at_s = start_s + 0.5
    joints = tuple(
        JointEvidence(name=name, x_frac=0.2 + 0.01 * i, y_frac=0.3 + 0.1 * i, score=score)
        for i, (name, score) in enumerate((("left_shoulder", 0.9), ("left_elbow", 0.8), ("left_wrist", 0.2)))
    )
    return Evidence(
        faces=(FaceEvidence(time_s=at_s, box=LEFT, score=0.9, expressions={"angry": 0.7, "neutral": 0.3}),),
        people=(PersonEvidence(time_s=at_s, track=4, box=LEFT, score=0.8, joints=joints),),
        objects=(
            ObjectEvidence(time_s=at_s, track=4, name="person", box=LEFT, score=0.8),
            ObjectEvidence(time_s=at_s, track=7, name="backpack", box=RIGHT, score=0.6),
        ),
        triplets=(
            TripletEvidence(
                time_s=at_s, subject="person", predicate="within_reach_of", object="backpack", score=0.6,
                subject_box=LEFT, object_box=RIGHT,
            ),
        ),
    )  # fmt: skip


def finding(start_s: float, end_s: float, label: str = "Fighting", score: float = 0.9, **more: Any) -> Finding:
    values: dict[str, Any] = {
        "labels": "explicit" if label in ("positive", "negative") else "implicit",
        "cause": f"Two people close to each other at {start_s:g} s.",
        "evidence": seen(start_s),
        "expert_weights": {"face": 0.0, "action": 0.6, "relation": 0.3, "background": 0.1},
    }
    return Finding(span=Span(start_s=start_s, end_s=end_s), label=label, score=score, **(values | more))


def analysis(*findings: Finding, duration_s: float = 20.0, **more: Any) -> Analysis:
    windows = [(float(k), min(k + 1.0, duration_s)) for k in range(int(duration_s))]
    values: dict[str, Any] = {
        "labels": ("implicit", "explicit"),
        "labels_not_scored": ("Water Incidents", "Robbery"),
        "model": ModelIdentity(name="compact", version="1.2", digest="cd" * 32),
        "findings": findings,
        "anomaly_curve": tuple(
            CurvePoint(
                start_s=start_s, end_s=end_s, score=0.1 + 0.5 * (start_s == 3),
                posterior={"implicit": {"Fighting": 0.1, "Normal": 0.9}, "explicit": {"positive": 0.2, "neutral": 0.8}},
            )
            for start_s, end_s in windows
        ),
        "expert_weights": tuple(
            ExpertWeightsPoint(start_s=start_s, end_s=end_s, face=0.0, action=0.5, relation=0.3, background=0.2)
            for start_s, end_s in windows
        ),
        "timings_s": {"features": 4.0, "features/face": 1.0, "locate": 1.0},
    }  # fmt: skip
    video = VideoIdentity(
        path=more.pop("path", "a/clip.mp4"), sha256="ab" * 32, duration_s=duration_s, rate_hz=12.0, width_px=320,
        height_px=240, decoded_ratio=more.pop("decoded_ratio", 1.0),
    )  # fmt: skip
    return Analysis(video=video, **(values | more))


@pytest.fixture
def make_finding() -> Callable[..., Finding]:
    """``make_finding(start_s, end_s, label, score)``, with one of every kind of evidence."""
    return finding


@pytest.fixture
def make_analysis() -> Callable[..., Analysis]:
    """``make_analysis(*findings, duration_s=20.0, path=..., ...)``: windows of a second, a peak at 3 s."""
    return analysis
