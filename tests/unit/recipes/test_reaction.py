"""Rows of the reaction paper's tables on a small data set in Hume-Reaction's form, with private test labels."""

import csv
import json

import pytest
import torch
from typer.testing import CliRunner

from omnisila.errors import DataSetError, InputError, TrainingError
from omnisila.evaluation.score_files import read_scores
from omnisila.labels import REACTION
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction import FRAMES
from omnisila.models.reaction_run import load_reaction
from omnisila.models.temporal_av import TemporalAVConfig
from omnisila.models.viper import ViPERConfig
from omnisila.recipes.rows import table
from omnisila.recipes.rows.reaction import reaction_recipe
from omnisila.recipes.shipping.reaction import querying, reactions, train_row
from omnisila.recipes.studies.reaction_card import label_statistics, reaction_scores
from omnisila.records import append, records
from omnisila.report.printed import printed_tables
from omnisila.scenes.reaction.clip import Modality
from omnisila.schema import Prediction
from omnisila.training.reaction_tables import read_stream, write_stream

SPLITS = {"Train": 60, "Val": 24, "Test": 6}
COLUMNS = [label.replace(" ", "-") for label in REACTION.labels]


@pytest.fixture
def hume(tmp_path):
    """``data_info.csv`` as ABAW gave it out, and the truth of all clips; the test's stays out of the file."""
    folder = tmp_path / "hume"
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    ids = [f"{number:05d}" for number in range(sum(SPLITS.values()))]
    truth = torch.rand(len(ids), 7, generator=random).mul(100).round().div(100)
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    with (folder / "data_info.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["File_ID", *COLUMNS, "Split"])
        for clip, split, row in zip(ids, splits, truth.tolist(), strict=True):
            writer.writerow([f"[{clip}]", *([""] * 7 if split == "Test" else [f"{v:.2f}" for v in row]), split])
    return folder, dict(zip(ids, truth, strict=True))


@pytest.fixture
def features(tmp_path, hume):
    """Streams that tell the truth, in noise; one training and one development clip have no sound."""
    folder = tmp_path / "features"
    random = torch.Generator().manual_seed(1)

    def frames(truth):
        mask = torch.rand(FRAMES, generator=random) < 0.9
        return Modality(truth.repeat(FRAMES, 1) + 0.2 * torch.randn(FRAMES, 7, generator=random), mask)

    truth = hume[1]
    for name in ("visual", "fau", "text-video-llava-2"):
        write_stream(folder / f"{name}.safetensors", ((clip, frames(row)) for clip, row in truth.items()), name.upper())
    heard = {clip: row for clip, row in truth.items() if clip not in ("00003", "00062")}
    write_stream(folder / "audio.safetensors", ((clip, frames(row)) for clip, row in heard.items()))
    write_stream(folder / "pooled-2.safetensors", ((clip, Modality.of_clip(row)) for clip, row in truth.items()))
    return folder


def small(name):
    """A row at a size for tests."""
    row = reaction_recipe(name)
    sizes = {
        ViPERConfig: {"latents": 3, "width": 16, "layers": 1, "heads": 2},
        TemporalAVConfig: {"width": 16, "heads": 2, "temporal_layers": 1, "cross_layers": 1},
        BiLSTMConfig: {"width": 8, "layers": 1},
        ProbeConfig: {"hidden": 16},
    }
    training = row.training.replace(epochs=6, learning_rate=2e-2, batch=20, patience=0)
    return row.replace(model=row.model.replace(**sizes[type(row.model)]), training=training)


def value(scores, metric, variant):
    return next(score for score in scores.scores if (score.metric, score.variant) == (metric, f"reaction; {variant}"))


def test_every_printed_row_that_is_trained_has_a_recipe():
    titles = {row.title for row in table.REACTION.values()}
    assert len(table.REACTION) == len(titles) + 1  # Table 6's VATF is Table 5's Video-LLaVA 2
    rows = {found.name: len(found.rows) for found in printed_tables() if found.name.startswith("reaction")}
    assert rows["reaction-4"] == sum(name.startswith("probing-2-") for name in table.REACTION)
    modalities = {frozenset(reaction_recipe(name).streams) for name in table.REACTION if name.startswith("viper-")}
    assert rows["reaction-6"] == len(modalities)
    texts = {reaction_recipe(name).streams["text"] for name in table.REACTION if name.startswith("viper-vatf-")}
    assert texts == {"text-clip", "text-video-llava-1", "text-video-llava-2", "text-llava"}
    assert rows["reaction-3"] - 1 == len(["baseline-fau", "baseline-vggface2", "viper-v", *texts, "probe 1", "probe 2"])


def test_the_letters_of_a_row_are_its_modalities_in_the_papers_order():
    row = reaction_recipe("viper-vaf")
    assert (row.name, list(row.streams.values())) == ("ViPER-VAF", ["visual", "audio", "fau"])
    with pytest.raises(InputError, match="row 'viper-x'"):
        reaction_recipe("viper-x")


@pytest.mark.parametrize("name", ["temporal-va", "probing-2-gelu", "baseline-fau", "viper-vtf"])
def test_a_row_is_trained_scored_and_saved(tmp_path, hume, features, name):
    said = []
    data, row, out = reactions(hume[0]), small(name), tmp_path / "run"
    scores = train_row(row, data, features, out, torch.device("cpu"), draws=20, say=said.append)
    assert scores.system == row.name
    pearson = value(scores, "Pearson", "mean over emotions")
    assert pearson.count == 24
    if name != "viper-vtf":  # too small to learn in six epochs what its size is made for
        assert pearson.value > 0.5
        assert pearson.low < pearson.value < pearson.high
    assert value(scores, "Pearson", "Empathic Pain").value is not None
    spread = [value(scores, "predicted intensity", f"Fear; {kind}").value for kind in ("least", "mean", "largest")]
    assert spread == sorted(spread)
    assert read_scores(out / "scores.json") == (scores,)

    predictions = list(records(out / "predictions-val.jsonl", Prediction))
    lacking = 1 if "audio" in row.streams else 0
    assert len(predictions) == 24 - lacking
    assert value(scores, "missing predictions", "react, count").value == lacking
    assert len(list(records(out / "predictions-test.jsonl", Prediction))) == 6  # private labels are answered too
    told = (out / "without_features.csv").read_text().splitlines()
    assert told == ["split,clip,streams", *(["train,00003,audio", "val,00062,audio"] if lacking else [])]
    assert sum("lack features (00003)" in line for line in said) == lacking

    run = load_reaction(out)
    assert run.record.widths == dict.fromkeys(row.streams, 7)
    assert run.record.kinds.get("fau", "FAU") == "FAU"
    assert run.record.train_mean == pytest.approx(data.train_mean.tolist())
    card = (out / "card.md").read_text()
    assert f"| mean over emotions | {pearson.value:.3f} | {pearson.low:.3f} to {pearson.high:.3f} |" in card
    assert "Nobody told who is in which clip" in card
    for modality, stream in row.streams.items():
        assert f"| {modality} | `{stream}` | {run.record.kinds[modality] or 'not known'} | 7 |" in card
    assert f"| training | 60 | {60 - lacking} | not known |" in card
    assert f"{lacking} clips without features got" in card
    assert predictions[0].system == f"{row.name}@{run.record.identity.digest[:12]}"
    assert train_row(row, data, features, out, torch.device("cpu"), draws=20) == scores  # nothing is left to do


def test_a_run_folder_never_goes_on_with_another_rows_weights(tmp_path, hume, features):
    data, out, cpu = reactions(hume[0]), tmp_path / "run", torch.device("cpu")
    row = small("probing-2-relu")
    train_row(row, data, features, out, cpu, draws=0)
    weights = (out / "model.safetensors").read_bytes()
    table = read_stream(features / "pooled-2.safetensors")
    turned = [(clip, Modality.of_clip(-row)) for clip, row in zip(table.ids, table.values[:, 0], strict=True)]
    write_stream(features / "pooled-1.safetensors", turned)
    for other in (small("probing-2-gelu"), row.replace(streams={"pooled": "pooled-1"})):
        with pytest.raises(TrainingError, match=r"other settings or data\. Give another run folder, or delete"):
            train_row(other, data, features, out, cpu, draws=0)
    (features / "pooled-1.safetensors").rename(features / "pooled-2.safetensors")  # extracted again by other networks
    with pytest.raises(TrainingError, match="other settings or data"):
        train_row(row, data, features, out, cpu, draws=0)
    assert (out / "model.safetensors").read_bytes() == weights


def test_who_is_in_a_clip_decides_what_is_held_out_and_drawn(tmp_path, hume, features):
    table, ids = tmp_path / "subjects.csv", list(hume[1])
    table.write_text("clip,subject\n" + "".join(f"[{clip}],person {int(clip) // 6}\n" for clip in ids[:84]))
    known, unknown = reactions(hume[0], table), reactions(hume[0])
    assert {video.group for video in known.train} == {f"person {number}" for number in range(10)}
    assert known.test == unknown.test  # nothing is held out of it, or drawn from it
    cpu, row, said = torch.device("cpu"), small("probing-2-relu"), []
    by_person = train_row(row, known, features, tmp_path / "person", cpu, draws=40, say=said.append)
    assert any("on 6 clips held out of 60" in line for line in said)
    card = (tmp_path / "person" / "card.md").read_text()
    assert "| training | 60 | 60 | 10 |" in card
    assert "6 of 60 training clips were held out" in card
    assert "drawn over people" in card
    answers = list(records(tmp_path / "person" / "predictions-val.jsonl", Prediction))
    by_clip = reaction_scores(row.name, unknown.val, answers, unknown.train_mean, 40)
    first, other = by_person.scores[0], by_clip.scores[0]
    assert first.value == other.value
    assert (first.low, first.high) != (other.low, other.high)
    table.write_text("clip,subject\n00000,one\n")
    with pytest.raises(DataSetError, match=r"subjects\.csv: no subject of clip 00001, and of 82 other"):
        reactions(hume[0], table)
    table.write_text("clip,subject\n00000,one\n[00000],two\n")
    with pytest.raises(DataSetError, match="line 3"):
        reactions(hume[0], table)


def test_tables_of_another_number_of_frames_are_refused(tmp_path, hume, features):
    table = read_stream(features / "visual.safetensors")
    short = [
        (clip, Modality(*frames))
        for clip, *frames in zip(table.ids, table.values[:, :16], table.mask[:, :16], strict=True)
    ]
    write_stream(features / "visual.safetensors", short)
    with pytest.raises(DataSetError, match=r"visual\.safetensors: 16 frames a clip, wanted 32"):
        train_row(small("temporal-va"), reactions(hume[0]), features, tmp_path / "run", torch.device("cpu"), draws=0)


def test_the_development_split_does_not_choose_the_epoch(tmp_path, hume, features):
    data, row = reactions(hume[0]), small("baseline-fau")
    turned = tuple(
        video.replace(intensities={label: 1 - value for label, value in video.intensities.items()})
        for video in data.val
    )
    cpu = torch.device("cpu")
    one = train_row(row, data, features, tmp_path / "one", cpu, draws=0)
    other = train_row(row, data._replace(val=turned), features, tmp_path / "other", cpu, draws=0)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "other")]
    assert weights[0] == weights[1]
    up, down = (value(scores, "Pearson", "mean over emotions").value for scores in (one, other))
    assert up == pytest.approx(-down)


def test_queried_answers_are_imputed_by_the_training_means_and_counted(tmp_path, hume):
    folder, truth = hume
    data = reactions(folder)
    ids = [video.id for video in data.val]
    answers = tmp_path / "predictions.jsonl"

    def prediction(clip, intensities):
        return Prediction(
            example_id=f"hume_reaction/{clip}#react", system="Video-LLaVA", answer="...", intensities=intensities,
            parse_ok=bool(intensities),
        )  # fmt: skip

    said = dict.fromkeys(REACTION.labels, 0.4)
    append(answers, [prediction(clip, said | {"Fear": truth[clip][5].item()}) for clip in ids[:20]])
    append(answers, [prediction(ids[20], None), prediction(ids[21], {"Fear": 0.5, "Disgust": 0.4})])
    scores = querying(data, answers, tmp_path / "out", draws=0)
    assert scores.system == "Video-LLaVA"
    assert value(scores, "Pearson", "Fear").value > 0.8
    anxiety = value(scores, "commonest value", "Anxiety")
    assert (anxiety.value, anxiety.note) == (0.4, "20 of 24 items, 2 different values")
    assert value(scores, "imputed", "share of items, filled with the emotion's mean over the training split").value == (
        pytest.approx(4 / 24)
    )
    assert value(scores, "imputed", "share of single intensities").value == pytest.approx((3 * 7 + 5) / (24 * 7))
    assert value(scores, "missing predictions", "react, count").value == 2
    assert value(scores, "malformed predictions", "react, count").value == 1
    mean = data.train_mean[0]
    largest = value(scores, "predicted intensity", "Adoration; largest").value
    assert largest == pytest.approx(max(0.4, mean))
    (tmp_path / "other.jsonl").write_text("")
    with pytest.raises(DataSetError, match="0 answers, none to the 24 development clips"):
        querying(data, tmp_path / "other.jsonl", tmp_path / "out")


def test_label_statistics_are_split_by_split(hume):
    folder, truth = hume
    data = reactions(folder)
    statistics = {scores.system: scores for scores in label_statistics([*data.train, *data.val, *data.test])}
    assert list(statistics) == ["labels, train", "labels, val", "labels, all labelled"]  # the test's are private
    fear = torch.stack([truth[video.id] for video in data.train])[:, 5].double()
    assert value(statistics["labels, train"], "true intensity", "Fear; mean").value == pytest.approx(fear.mean().item())
    deviation = value(statistics["labels, train"], "true intensity", "Fear; standard deviation")
    assert (deviation.value, deviation.count) == (pytest.approx(fear.std(correction=0).item()), 60)


def test_the_other_layout_and_labels_out_of_range(tmp_path, hume):
    folder, _ = hume
    with (folder / "data_info.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    muse = tmp_path / "muse"
    muse.mkdir()
    names = {"Train": "train", "Val": "devel", "Test": "test"}
    with (muse / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["File_ID", *COLUMNS], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(line for line in lines if line["Split"] != "Test")
    (muse / "partition.csv").write_text(
        "File_ID,Proposal\n" + "".join(f"{line['File_ID']},{names[line['Split']]}\n" for line in lines)
    )
    assert reactions(muse) == reactions(folder)
    text = (muse / "labels.csv").read_text()
    (muse / "labels.csv").write_text(text.replace(f"{lines[4]['Fear']},", "1.20,", 1))
    with pytest.raises(DataSetError, match=r"labels\.csv, line \d+: .* is '1\.20'.*from 0 to 1"):
        reactions(muse)
    (muse / "partition.csv").write_text("File_ID,Proposal\n00000,train\n")
    (muse / "labels.csv").write_text("\n".join(text.splitlines()[:2]) + "\n")
    with pytest.raises(DataSetError, match="1 training and 0 development clips"):
        reactions(muse)


def test_the_command_lists_rows_asks_for_what_is_missing_and_trains(tmp_path, hume, features):
    import typer

    from omnisila.cli.train_reaction import reaction

    app = typer.Typer()
    app.command()(reaction)
    run = CliRunner().invoke
    listed = run(app, ["--rows"]).output
    assert "viper-vatf-clip: ViPER-VATF, CLIP" in listed
    assert "querying" in listed
    folder, out = str(hume[0]), str(tmp_path / "run")
    missing = run(app, [folder, "--row", "viper-v", "--out", out])
    assert isinstance(missing.exception, InputError)
    assert "--features" in str(missing.exception)
    assert isinstance(run(app, [folder, "--row", "querying", "--out", out]).exception, InputError)
    done = run(app, [folder, "--row", "probing-2-relu", "--out", out, "--features", str(features), "--seed", "3"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]["training"]["seed"] == 3
