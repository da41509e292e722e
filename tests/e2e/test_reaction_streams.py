"""Every stream that a row of the reaction paper's tables reads is made by a command, and a Video-LLM is asked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from omnisila.errors import WeightsError
from omnisila.labels import REACTION
from omnisila.models.reaction import FRAMES
from omnisila.recipes.rows import table
from omnisila.recipes.streams.asked import Description
from omnisila.records import append, records
from omnisila.schema import Prediction
from omnisila.training.reaction_tables import read_stream

CLIPS = {"1": "Train", "2": "Train", "3": "Val"}
Run = Callable[..., Result]


@pytest.fixture
def hume(tmp_path: Path, make_video: Callable[..., Path], paint: Callable[..., Callable]) -> Path:
    """Three clips with sound, the last without a face, and their labels."""
    (tmp_path / "hume").mkdir()
    names = ",".join(label.replace(" ", "-") for label in REACTION.labels)
    rows = "".join(f"[{clip}],{','.join([f'0.{clip}'] * 7)},{split}\n" for clip, split in CLIPS.items())
    (tmp_path / "hume" / "data_info.csv").write_text(f"File_ID,{names},Split\n{rows}")
    for clip in CLIPS:
        heads = paint([(4, 80)] if clip != "3" else [])
        make_video(f"{clip}.mp4", frames=6, rate_hz=10, width_px=160, height_px=120, audio_s=0.6, paint=heads)
    return tmp_path / "hume"


def extract(omnisila: Run, stage: str, hume: Path, *given: object) -> Result:
    return omnisila("extract-reaction", stage, hume, "--footage", hume.parent, "--out", hume.parent / "out", *given)  # type: ignore[arg-type]


def test_every_stream_of_every_row_is_made(
    omnisila: Run, hume: Path, networks: Path, video_llava_folder: Path, tmp_path: Path
) -> None:
    out, units = tmp_path / "out", tmp_path / "units"
    units.mkdir()
    for clip in "13":
        (units / f"{clip}.csv").write_text(
            "timestamp,segment_id,0,1\n" + "".join(f"{250 * k},1,.5,1\n" for k in (0, 1, 2))
        )
    folders = {"visual": "vit", "audio": "wavlm", "clip": "clip", "sentences": "roberta"}
    chosen = {"text": "templates", **{name: str(networks / folder) for name, folder in folders.items()}}
    (tmp_path / "networks.json").write_text(json.dumps(chosen))
    made = extract(omnisila, "frames", hume, "--networks", tmp_path / "networks.json", "--face", networks / "face",
                   "--tables", f"fau={units}")  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "no table of fau was given: 1 of 3 clips" in made.stderr
    assert "missing face: 1 of 3 clips" in made.stderr
    kinds = {name: read_stream(out / f"{name}.safetensors").kind for name in ("fau", "face", "text-clip")}
    assert kinds == {"fau": "action_units", "face": "face_resnet", "text-clip": "roberta_of_templates"}

    append(out / "descriptions-1.jsonl", [Description(clip="1", system=f"{video_llava_folder}, 2 frames", text=" ")])
    asked = ("--backbone", video_llava_folder)
    pooled = extract(omnisila, "pooled", hume, *asked, "--shown", 2)
    assert pooled.exit_code == 0, pooled.output
    told = {}
    for prompt in ("1", "2", "frames"):
        shown = ("--shown", 2, "--sentences", networks / "roberta", "--prompt", prompt)
        told[prompt] = extract(omnisila, "descriptions", hume, *asked, *shown)
    assert told["2"].exit_code == told["frames"].exit_code == 0, told["2"].output + told["frames"].output
    assert told["1"].exit_code == 1
    assert "clip 1: the Video-LLM wrote nothing of it" in told["1"].stderr
    masks = read_stream(out / "text-video-llava-1.safetensors").mask.any(1)
    assert masks.tolist() == [False, True, True]
    assert all(len(one.text) == FRAMES for one in records(out / "descriptions-frames.jsonl", Description))

    wanted = {stream for row in table.REACTION.values() for stream in row.changes["streams"].values()}
    assert wanted == {path.stem for path in out.glob("*.safetensors")}
    sources = json.loads((out / "features.json").read_text())
    assert sources["pooled"] == {"backbone": str(video_llava_folder), "frames": 2, "pooling": "sequence"}
    assert sources["described"]["text-llava"]["frames"] == 1

    trained = omnisila("train", "reaction", hume, "--row", "probing-2-relu", "--features", out, "--out",
                       tmp_path / "run", "--epochs", "1")  # fmt: skip
    assert trained.exit_code == 0, trained.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["features"], record["pooled"]) == (None, sources["pooled"])


def test_a_video_llm_is_asked_and_its_answers_are_scored(
    omnisila: Run, hume: Path, video_llava_folder: Path, tmp_path: Path
) -> None:
    answers, asked = tmp_path / "answers.jsonl", f"query:{video_llava_folder}"
    prepared = omnisila("prepare", "hume_reaction", hume, "--footage", tmp_path, "--out", tmp_path / "examples")
    assert prepared.exit_code == 0, prepared.output
    examples = tmp_path / "examples" / "examples.jsonl"
    made = omnisila("predict", examples, "--footage", tmp_path, "--split", "val", "--model", asked, "--out", answers)
    assert made.exit_code == 0, made.output
    (said,) = records(answers, Prediction)
    assert (said.system, said.example_id) == (asked, "hume_reaction/3#react")
    scored = omnisila("train", "reaction", hume, "--row", "querying", "--answers", answers, "--out", tmp_path / "run")
    assert scored.exit_code == 0, scored.output
    (scores,) = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["system"] == said.system


def test_what_cannot_be_asked_is_refused(omnisila: Run, hume: Path) -> None:
    nowhere = ("--backbone", "./nowhere")
    for stage, given, error, complaint in (
        ("pooled", nowhere, WeightsError, "nowhere: no such folder"),
        ("descriptions", (*nowhere, "--sentences", "./nothing"), WeightsError, "nowhere: no such folder"),
    ):
        refused = extract(omnisila, stage, hume, *given)
        assert isinstance(refused.exception, error)
        assert complaint in str(refused.exception)
