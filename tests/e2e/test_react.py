"""``omnisila analyze --labels reaction`` and ``predict`` with a tiny reaction run: good, odd and bad files."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

from omnisila import load, weights
from omnisila.errors import InputError
from omnisila.labels import REACTION
from omnisila.models.reaction import FRAMES, ReactionBatch
from omnisila.models.reaction_run import ReactionRecord, save_reaction
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.records import records
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.schema import Analysis, Example, Prediction

Run = Callable[..., Result]
Make = Callable[..., Path]
SCORED = ("Amusement", "Anxiety", "Fear")


@pytest.fixture(scope="session")
def reaction_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose untrained model reads faces, expressions and sound, and scores three emotions."""
    folder = tmp_path_factory.mktemp("run")
    features = ReactionFeatureConfig.embedded()
    extractor = features.build()
    widths = {name: extractor.widths[name] for name in ("face", "fau", "audio")}
    torch.manual_seed(0)
    config = TemporalAVConfig(width=8, heads=2, temporal_layers=1, cross_layers=1)
    model = config.build(widths)
    values = {name: torch.randn(2, FRAMES, width) for name, width in widths.items()}
    model.fit_standardisation(ReactionBatch(values, {name: torch.ones(2, FRAMES, dtype=torch.bool) for name in values}))
    record = ReactionRecord(
        name="tiny", model=config, widths=widths, streams={name: name for name in widths}, features=features,
        kinds={name: extractor.kinds[name] for name in widths}, labels={REACTION.name: SCORED}, train_mean=(0.5,) * 7,
    )  # fmt: skip
    save_reaction(folder, model, record)
    (folder / "card.md").write_text("# tiny\n\nTraining data: none.\n")
    return folder


@pytest.fixture(scope="session")
def painted() -> Callable[[int, int, int], np.ndarray]:
    """A head that moves slowly (NASA, public domain)."""
    photograph = np.array(Image.open(Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"))
    head = photograph[18:98, 72:152]

    def paint(index: int, width_px: int, height_px: int) -> np.ndarray:
        picture = np.full((height_px, width_px, 3), 120, np.uint8)
        picture[10:90, 20 + index : 100 + index] = head
        return picture

    return paint


def analysis_of(folder: Path, name: str) -> Analysis:
    return Analysis.model_validate_json((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_a_clip_with_face_and_sound(omnisila: Run, make_video: Make, painted, reaction_run, tmp_path) -> None:
    clip = make_video("clip.mp4", frames=36, rate_hz=12, width_px=160, height_px=120, paint=painted, audio_s=3.0)
    out = tmp_path / "out"
    asked = ("analyze", clip, "--labels", "reaction", "--model", reaction_run, "--window", "1", "--out", out)
    result = omnisila(*asked, "--format", "html,csv,vtt,elan,activitynet,fiftyone,label_studio", "--cut")
    assert result.exit_code == 0, result.stderr
    analysis = analysis_of(out, "clip.mp4")
    assert analysis.labels == ("reaction",)
    assert tuple(analysis.intensities or ()) == SCORED
    assert "Surprise" in analysis.labels_not_scored
    assert not analysis.findings
    assert not analysis.anomaly_curve
    assert [point.start_s for point in analysis.intensity_curve] == [0.0, 1.0, 2.0]
    assert analysis.intensity_curve[-1].end_s == analysis.video.duration_s
    assert all(tuple(point.intensities) == SCORED for point in analysis.intensity_curve)
    assert len({point.intensities["Fear"] for point in analysis.intensity_curve}) > 1
    assert not [line for line in analysis.warnings if "no face" in line or "no sound" in line]
    page = (out / "clip.mp4.html").read_text(encoding="utf-8")
    assert "Reactions over the whole video" in page
    assert "Nothing to report" not in page
    assert "Training data: none." in page
    table = list(csv.DictReader((out / "clip.mp4.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["row"] for row in table] == ["whole video"] * 3 + ["window"] * 9
    assert "already analysed" in omnisila(*asked, "--format", "html,csv").stderr
    assert load(str(reaction_run)).analyze(clip).intensities == analysis.intensities
    told = json.loads(omnisila(*asked[:-2], "--json", "--out", tmp_path / "again", "--hop", "0.5").stdout)
    assert [point["start_s"] for point in told["intensity_curve"]] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_odd_and_bad_files(omnisila: Run, make_video: Make, make_bad_file: Make, painted, reaction_run, tmp_path):
    head = {"width_px": 160, "height_px": 120, "paint": painted}
    make_video("in/silent.mp4", frames=12, **head)
    make_video("in/faceless.mp4", frames=12, audio_s=1.0)
    make_video("in/neither.mp4", frames=24)
    make_video("in/short.mp4", frames=4, rate_hz=12, audio_s=0.3, **head)
    Image.fromarray(painted(0, 160, 120)).save(tmp_path / "in" / "still.png")
    make_bad_file("in/empty.mp4", "empty")
    make_bad_file("in/ends early.mkv", "short")
    out = tmp_path / "out"
    asked = ("analyze", tmp_path / "in", "--model", reaction_run, "--window", "1", "--out", out, "--blur-faces")
    result = omnisila(*asked)
    assert result.exit_code == 1
    failures = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failures) == 1
    assert "empty.mp4" in failures[0]
    warned = {name: " ".join(analysis_of(out, name).warnings) for name in (
        "silent.mp4", "faceless.mp4", "neither.mp4", "short.mp4", "still.png", "ends early.mkv",
    )}  # fmt: skip
    assert "of 1 window: no sound in 1" in warned["silent.mp4"]
    assert "of 1 window: no face in 1" in warned["faceless.mp4"]
    assert "of 2 windows: no face in 2; no sound in 2; nothing that the model reads in 2" in warned["neither.mp4"]
    assert "32 frames repeat" in warned["short.mp4"]
    assert "a still picture" in warned["still.png"]
    assert "cut off" in warned["ends early.mkv"]
    assert analysis_of(out, "ends early.mkv").video.decoded_ratio < 0.5
    for name in warned:
        analysis = analysis_of(out, name)
        seen = name not in ("neither.mp4", "ends early.mkv")
        assert (bool(analysis.intensities), bool(analysis.intensity_curve)) == (seen, seen)
    assert "neither.mp4: 2.0 s, no reaction measured" in result.stderr
    page = (out / "neither.mp4.html").read_text(encoding="utf-8")
    assert "No reaction was measured" in page
    assert "Nothing to report" not in page
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "Reactions measured in 4, none in 2" in index
    assert "Strongest reaction: " in index
    assert "already analysed" in omnisila(*asked).stderr


def test_events_and_reactions_in_one_analysis(omnisila: Run, make_video: Make, painted, tmp_path) -> None:
    clip = make_video("clip.mp4", frames=24, rate_hz=12, width_px=160, height_px=120, paint=painted)
    out = tmp_path / "out"
    result = omnisila("analyze", clip, "--labels", "reaction", "--labels", "implicit", "--out", out)
    assert result.exit_code == 0, result.stderr
    analysis = analysis_of(out, "clip.mp4")
    assert analysis.labels == ("implicit", "reaction")
    assert {"Water Incidents", "Fear"} <= set(analysis.labels_not_scored)
    assert analysis.model.name == "compact and compact-reaction"
    assert len(analysis.anomaly_curve) == 2
    assert len(analysis.intensity_curve) == 1
    page = (out / "clip.mp4.html").read_text(encoding="utf-8")
    assert "Reactions over the whole video" in page
    assert "of events" in page
    assert "reaction: Amusement, Surprise" in omnisila("models").stdout
    assert "**Amusement, Surprise**" in omnisila("models", "compact-reaction").stdout
    assert isinstance(
        omnisila("analyze", clip, "--labels", "reaction", "--labels", "implicit", "--window", "2").exception, InputError
    )


def test_predict_answers_react_examples(omnisila: Run, make_video: Make, painted, reaction_run, tmp_path) -> None:
    make_video("a.mp4", frames=12, width_px=160, height_px=120, paint=painted, audio_s=1.0)
    example = Example(
        id="a#react", video="a.mp4", start_s=0.0, end_s=1.0, task="react", labels="reaction", instruction="?",
        answer="", split="val", group="a",
    )  # fmt: skip
    (tmp_path / "examples.jsonl").write_text(example.model_dump_json() + "\n")
    asked = ("predict", tmp_path / "examples.jsonl", "--footage", tmp_path, "--model", reaction_run, "--out")
    assert omnisila(*asked, tmp_path / "said.jsonl").exit_code == 0
    (said,) = records(tmp_path / "said.jsonl", Prediction)
    assert tuple(said.intensities or ()) == SCORED
    assert said.answer.startswith("Amusement: ")
    (tmp_path / "examples.jsonl").write_text(example.replace(task="identify").model_dump_json() + "\n")
    refused = omnisila(*asked, tmp_path / "other.jsonl")
    assert refused.exit_code == 1
    assert "does not answer identify" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--labels", "implicit"), "measures reactions and nothing else"),
        (("--labels", "reaction", "--labels", "implicit"), "measures reactions and nothing else"),
        (("--max-fnr", "0.1"), "max_fnr"),
        (("--rate", "4"), "rate_hz"),
        (("--window", "2", "--hop", "3"), "unseen"),
    ],
)
def test_what_a_reaction_run_does_not_do(omnisila: Run, make_video: Make, reaction_run, arguments, message) -> None:
    clip = make_video("clip.mp4", frames=6)
    result = omnisila("analyze", clip, "--model", reaction_run, *arguments, "--out", clip.parent / "out")
    if isinstance(result.exception, InputError):
        assert message in str(result.exception)
    else:
        assert message in result.stderr


def test_scene_models_do_not_measure_reactions(omnisila: Run, make_video: Make, reaction_run) -> None:
    clip, scene_run = make_video("clip.mp4", frames=6), weights.FOLDER / "compact"
    for arguments, message in (
        (("analyze", clip, "--model", scene_run, "--labels", "reaction"), "train reaction"),
        (("analyze", clip, "--hop", "1"), "only windows of reaction"),
        (("chat", clip, "--model", reaction_run, "--ask", "?"), "measures reactions"),
    ):
        result = omnisila(*arguments)
        assert isinstance(result.exception, InputError), arguments
        assert message in str(result.exception)
