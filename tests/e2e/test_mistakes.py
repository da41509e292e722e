"""Mistakes end with status 2 and a hint, and before torch is imported, which takes seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from omnisila.labels import REACTION as REACTION_LABELS
from omnisila.recipes.rows import hawkeye, icm
from omnisila.recipes.rows.reaction import reaction_recipe
from omnisila.recipes.rows.table import HAWKEYE, ICM, REACTION
from omnisila.schema import Example, Prediction
from omnisila.weights import FOLDER

EXAMPLE = Example(
    id="s/a#identify", video="a.mp4", start_s=0.0, end_s=1.0, task="identify", labels="implicit", instruction="Which?",
    answer="Normal", truth=(), split="train", group="a",
)  # fmt: skip
HEAVY = ("torch", "transformers", "av", "PIL", "scipy", "sklearn")
FAULTY = {
    "unknown_field": '{"sbm": {"temprature": 1}}',
    "low_value": '{"task_tuning": {"epochs": 0}}',
    "no_scene": '{"left_out": ["akction"]}',
    "baseline": '{"row": "valley", "sbm": null}',
    "no_network": '{"visul": "x"}',
    "no_type": "{",
    "nested": "[" * 100_000,
    "digits": f'{{"sbm": {{"alpha": {"1" * 5000}}}}}',
    "published": '{"database": {"a": {"subset": "training", "annotations": [{"label": "Fire", "segment": [0, 1]}]}}}',
}
CHILD = f"""
import contextlib, io, json, sys
from omnisila.cli import main

for line in sys.stdin:
    sys.argv, said, code = ["omnisila", *json.loads(line)], io.StringIO(), 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, said.getvalue(), [name for name in {HEAVY!r} if name in sys.modules]]), flush=True)
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    said: str
    imported: list[str]


@pytest.fixture(scope="module")
def tell(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Callable[[str], Ended]:
    """``tell("analyze {clip} --labels x")`` runs a command where nothing heavy was imported by an earlier one."""
    folder = tmp_path_factory.mktemp("mistakes")
    names = {
        "clip": write_clip(folder / "clip.mp4"),
        "here": folder,
        "set": folder / "set",
        "jsonl": folder / "e.jsonl",
    }
    names |= {"recipe": folder / "recipe.json", "run": folder / "run", "own": folder / "own"}
    names |= {"e": folder / "one.jsonl", "said": folder / "said.jsonl"}
    for made in ("set", "run", "own"):
        names[made].mkdir()
    (names["own"] / "a.csv").write_text("video,start_s,end_s,label\nclip.mp4,,,Normal\n")
    names["e"].write_text(EXAMPLE.model_dump_json())
    names["said"].write_text(Prediction(example_id="s/a#identify", system="a", answer="Normal").model_dump_json())
    names["jsonl"].touch()
    names |= {"text": folder / "text.mp4", "sam": folder / "sam"}
    names["text"].write_text("no video")
    names["sam"].mkdir()
    (names["sam"] / "config.json").write_text('{"model_type": "sam"}')
    names |= {"reading": folder / "reading", "untyped": folder / "untyped"}
    for model, content in (("reading", '{"model_type": "video_llava"}'), ("untyped", "{")):
        names[model].mkdir()
        (names[model] / "config.json").write_text(content)
    names["e2"] = folder / "pose.json"
    names["e2"].write_text('{"sem": {"checkpoints": {"pose": "nowhere.pth"}}}')
    names["recipe"].write_text('{"row": "without-sbmm"}')
    for name, content in FAULTY.items():
        names[name] = folder / f"{name}.json"
        names[name].write_text(content)
    names |= {"uncalibrated": folder / "uncalibrated", "hume": folder / "hume"}
    shutil.copytree(FOLDER / "compact", names["uncalibrated"])
    (names["uncalibrated"] / "calibration.json").write_text("{}")
    names["hume"].mkdir()
    (names["hume"] / "data_info.csv").write_text(
        f"File_ID,Split,{','.join(REACTION_LABELS.labels)}\n[1],Val{',0.5' * len(REACTION_LABELS.labels)}\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("OMNISILA_DATA", "OPENAI_API_KEY")}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdin is not None
    assert child.stdout is not None

    def run(command: str) -> Ended:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps([part.format(**names) for part in command.split()]) + "\n")
        child.stdin.flush()
        return Ended(*json.loads(child.stdout.readline()))

    yield run
    child.stdin.close()
    child.wait()
    child.stdout.close()


ENDPOINT = "--base-url http://localhost:1/v1 --model m"


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("analyze {clip} --window -1", "window_s: wanted greater than or equal to 0.04 (given: -1.0)"),
        ("analyze {clip} --window nan", "window_s: wanted a finite number"),
        ("analyze {clip} --rate 1e9", "rate_hz: wanted less than or equal to 240"),
        ("analyze {clip} --hop inf", "hop_s: wanted a finite number"),
        ("analyze {clip} --out {clip}", "A part of the path is a file"),
        ("analyze {clip} --labels Fighting,Robbery", "'Fighting', 'Robbery' do not exist"),
        ("analyze {clip} --labels Fighting,Robbery", "those are in implicit and anomaly"),
        ("analyze {clip} --labels ,", "no label set is named"),
        ("analyze {clip} --format docx,pdf", "'docx', 'pdf' do not exist"),
        ("analyze {here}/no.mp4", "no.mp4: no such file or folder"),
        ("analyze {clip} --labels implict", "Did you mean implicit?"),
        ("analyze {clip} --labels implicit,explicitt", "Did you mean explicit?"),
        ("analyze {clip} --labels anomaly", "--model compact-hawkeye answers it"),
        ("analyze {clip} --labels reaction,implicit --window 3", "Leave it out, or analyse one of the two"),
        ("analyze {clip} --model Compct", "Did you mean compact?"),
        ("analyze {clip} --model {run}", "no finished run"),
        ("analyze {clip} --format json,htm", "Did you mean html?"),
        ("analyze {clip} --max-fnr 0.0001", "The smallest it was fitted for"),
        ("analyze {clip} --hop 1", "only windows of reaction intensities may overlap"),
        ("analyze {clip} --labels reaction --rate 2", "rate_hz: reactions are measured"),
        ("analyze {clip} --model {sam}", "model type 'sam', wanted one of: internvl"),
        ("analyze {clip} --camera {here}/no.camera", "no such file. Make one with omnisila learn-camera"),
        ("analyze {clip} --camera {text}", "not a whole camera file"),
        ("analyze {clip} --model openai:x", "no address. Give --base-url"),
        ("analyze {clip} --model openai:x --base-url x", "is no web address"),
        ("analyze {clip} --model query:{set}", "config.json: missing"),
        ("chat {here}/no.mp4", "no.mp4' does not exist"),
        ("chat {clip} --model compact-reaction", "measures reactions and nothing else"),
        ("chat {clip} --ask Hello?", "was not taught this"),
        ("extract {here}/no.mp4", "no such file"),
        ("extract {clip} --model nothing", "does not exist. Choose from: compact"),
        ("models compact-hawkey", "Did you mean compact-hawkeye?"),
        ("prepare tsl30 {set} --out {here}/o", "Did you mean tsl300?"),
        ("prepare tsl300 {here}/no --out {here}/o", "no: no such file or folder"),
        ("prepare folder_cvs x", "Did you mean folder_csv?"),
        ("prepare folder_csv x", "x: no such file or folder"),
        ("prepare tsl300 {set} --template", "Choose from: activitynet, folder_csv"),
        ("prepare tsl300 {set} --out {here}/o --window 1e-9", "greater than or equal to 0.04"),
        ("prepare folder_csv {own} --out {here}/o", "Say which to use: --labels implicit or --labels anomaly"),
        ("prepare tsl300 {set} --out {here}/o", "videosenti_gt.json: no such file"),
        ("prepare tsl300 {set} --out {here}/o --subset s-x", "'s-s', 's-d'"),
        ("prepare tsl300 {set} --out {here}/o --format jsnl", "Did you mean jsonl?"),
        ("prepare folder_csv {set} --out {here}/o --labels implict", "Did you mean implicit?"),
        ("annotate tsl30 {set} --footage {here} --out {here}/c " + ENDPOINT, "Did you mean tsl300?"),
        ("predict {here}/no.jsonl --footage {here}", "no.jsonl' does not exist"),
        ("predict {jsonl} --footage {here}/no", "no' does not exist"),
        ("predict {jsonl} --footage {here}", "holds no example"),
        ("predict {own}/a.csv --footage {here}", "a.csv, line 1: no Example"),
        ("predict {e} --footage {here} --out {here}", "A folder has that name"),
        ("predict {e} --footage {here} --model openai:x", "no address. Give --base-url"),
        ("predict {e} --footage {here} --split tset", "Choose with --split from: train (1)"),
        ("predict {e} --footage {here} --model query:{here}/no", "no: no such folder"),
        ("predict {e} --footage {here} --model query:{set}", "config.json: missing"),
        ("predict {e} --footage {here} --model compakt", "Did you mean compact?"),
        ("predict {e} --footage {here} --model no_module:f", "no such function"),
        ("predict {e} --footage {here} --model hawkeye-release:{here}/no", "no such folder"),
        ("score {here}/no.jsonl {jsonl}", "no.jsonl' does not exist"),
        ("score {e} {own}/a.csv", "a.csv, line 1: columns"),
        ("score {e} {said} --encoder x", "sentence encoder 'x': no such folder"),
        ("score {e} {said} --encoder {set}", "no weights"),
        ("score {e} {said} --out {here}", "A folder has that name"),
        ("score {e} {said} --decisions {text}", "text.mp4, line 1: no Decision"),
        ("score {e} A={said} A={said}", "systems named A, A"),
        ("report {here}/no.json", "no.json' does not exist"),
        ("report {e}", "Wanted a list of systems with scores"),
        ("report {e} --log {here}/no", "no' does not exist"),
        ("judge {here}/no.jsonl {jsonl} --out {here}/j " + ENDPOINT, "no.jsonl' does not exist"),
        ("judge {e} {said} --out {here}/j " + ENDPOINT, "OPENAI_API_KEY holds no key"),
        ("judge {e} {said} --out {here}/j --timeout-s 0 " + ENDPOINT, "timeout_s: wanted greater than 0"),
        ("rate --read {here}/no.csv", "no.csv' does not exist"),
        ("rate --sheet {here}/s.csv", "Give an examples.jsonl and predictions"),
        ("calibrate compact", "Give --out FOLDER for a copy"),
        ("calibrate compact {jsonl} --footage {here}", "Give --out FOLDER for a copy"),
        ("calibrate compact --decisions {text} --out {here}/c", "text.mp4, line 1: no Decision"),
        ("calibrate compact {e} --split train --out {here}", "exists. Choose a new folder"),
        ("learn-camera {clip} --labels implict", "Did you mean implicit?"),
        ("learn-camera {clip} --labels anomaly", "--model compact-hawkeye answers it"),
        ("learn-camera {clip} --decisions {text}", "text.mp4, line 1: no Decision"),
        ("learn-camera {clip} --out {text}", "not a whole camera file"),
        ("watch {here}/no.mp4 --out {here}/w", "no such device, folder or file"),
        ("watch {clip} --out {here}/w --labels implict", "Did you mean implicit?"),
        ("watch {clip} --out {here}/w --model compakt", "Did you mean compact?"),
        ("watch {clip} --out {here}/w --max-fnr 7", "max_fnr: wanted less than 1"),
        ("watch {clip} --out {clip}", "A part of the path is a file"),
        ("watch {clip} --out {here}/w --notify x", "x: "),
        ("report {said} --out {said}", "A part of the path is a file"),
        ("calibrate {here}/no {jsonl} --footage {here}", "Give a folder that omnisila train finished"),
        ("train icm {jsonl} --footage {here} --out {run} --recipe without-smb", "Did you mean without-sbm?"),
        ("train icm {jsonl} --footage {here} --out {run} --recipe {recipe}", "Did you mean without-sbm?"),
        ("train icm {e} --footage {here} --out {run} --recipe {here}/no.json", "no.json: no recipe ([Errno 2]"),
        ("train icm {e} --footage {here} --out {run} --recipe {no_type}", "no_type.json: no recipe (Expecting"),
        ("train icm {e} --footage {here} --out {run} --recipe {unknown_field}", "sbm: field 'temprature' does not"),
        ("train hawkeye {e} --footage {here} --out {run} --recipe {low_value}", "epochs: wanted greater than 0."),
        ("train icm {e} --footage {here} --out {run} --recipe {no_scene}", "Did you mean action?"),
        ("train baseline {baseline} {e} --footage {here} --out {run}", "field 'sbm' does not exist"),
        ("train icm {e} --footage {here} --out {run} --recipe {nested}", "no recipe (nested too deeply"),
        ("train icm {e} --footage {here} --out {run} --recipe {digits}", "no recipe (a number has too many digits"),
        ("score {e} {nested} --split train", "no JSON (nested too deeply)"),
        ("score {e} {digits} --split train", "no JSON (a number has too many digits)"),
        ("score {e} {said} --split train --decisions {jsonl}", "holds no decision"),
        ("score {e} {said} --split train --labels implict", "Did you mean implicit?"),
        (
            "predict {e} --footage {here} --model compact-hawkeye",
            "are of label set implicit, the model was",
        ),
        ("predict {e} --footage {here} --labels implict", "Did you mean implicit?"),
        ("calibrate compact --decisions {jsonl} --out {here}/c", "holds no decision"),
        ("learn-camera {clip} --decisions {jsonl}", "holds no decision"),
        ("prepare activitynet {published} --out {here}/o --labels implicit --durations {text}", "no column video"),
        ("prepare activitynet {published} --out {here}/o --labels implicit --causes {text}", "no column id"),
        ("analyze " + 5000 * "a", "File name too long. Check the path"),
        ("analyze {clip} --model " + 5000 * "a", "File name too long. Check the path"),
        ("train icm {jsonl} --footage {here} --out {run}", "holds no example"),
        ("train icm {e} --footage {here} --out {run} --scenes {e} --backbone {here}/no", "no: no such folder"),
        ("train icm {e} --footage {here} --out {run}", "begins with scene tuning. Give --scenes"),
        ("train icm {e} --footage {here} --out {run} --scenes {jsonl}", "holds no example"),
        ("train icm {e} --footage {here} --out {run} --recipe without-scene-tuning", "w32_512.pth: no such checkpoint"),
        ("train hawkeye {e} --footage {here} --out {run} --recipe without-pre-tuning", "no such checkpoint"),
        ("train icm {e} --footage {here} --out {run} --scenes {e} --recipe {e2}", "nowhere.pth: no such checkpoint"),
        ("train icm {e} --footage {here} --out {run} --scenes {e} --backbone {sam}", "model type 'sam', wanted"),
        ("train icm {e} --footage {here} --out {e} --scenes {e} --extractors embedded", "A part of the path is a file"),
        (
            "train icm {e} --footage {here} --out {run} --recipe without-scene-tuning --until scene",
            "no scene tuning to",
        ),
        ("train baseline valley {e} --footage {here} --out {run} --checkpoint {here}/no", "no: no such folder"),
        ("train baseline valley {e} --footage {here} --out {run} --checkpoint {sam}", "wanted those of valley"),
        ("train icm {jsonl} --footage {here} --out {run} --extractors ful", "'full', 'embedded'"),
        ("train hawkeye {jsonl} --footage {here} --out {run} --until end", "'scene', 'task'"),
        ("train hawkeye {jsonl} --footage {here} --out {run} --recipe without-agg", "Did you mean without-asg?"),
        ("train reaction {set} --row vipervaf --features {here} --out {run}", "Did you mean viper-vaf?"),
        ("train reaction {set} --row viper-vaf --out {run}", "a table of each of visual, audio, fau"),
        ("train reaction {set} --row querying --out {run}", "needs --answers"),
        ("train compact", "OMNISILA_DATA is not set"),
        ("train compact-hawkeye --data {here}/no", "no' does not exist"),
        ("train compact --data {set}", "12 of 12 data sets are missing"),
        ("train compact-hawkeye --data {set}", "12 of 12 data sets are missing"),
        ("train reaction {set} --row viper-v --features {here} --out {run}", "no data_info.csv"),
        ("extract-reaction frames {set} --footage {here} --out {here}/f", "no data_info.csv"),
        ("extract-reaction frames {hume} --footage {here} --out {here}/f --networks {no_network}", "mean visual?"),
        ("extract-reaction frames {hume} --footage {here} --out {here}/f --networks {no_type}", "no networks ("),
        ("extract-reaction frames {hume} --footage {here} --out {here}/f --tables fua={here}", "Did you mean fau?"),
        ("extract-reaction frames {hume} --footage {here} --out {here}/f --face {untyped}", "names no model_type"),
        ("extract-reaction pooled {hume} --footage {here} --out {here}/f --backbone {untyped}", "names no model_type"),
        ("train reaction {hume} --row querying --answers {text} --out {run}", "text.mp4, line 1: no Prediction"),
        ("train distil --footage {own} --examples {e} --out {here}/d", "no video or picture in this folder"),
        ("train distil --footage {here} --examples {text} --out {here}/d", "text.mp4, line 1: no Example"),
        ("train distil --footage {here} --examples {e} --taught {text} --out {here}/d", "line 1: no Example"),
        ("train distil --footage {here} --examples {e} --out {text}", "A part of the path is a file"),
        ("train distil --footage {here} --examples {e} --out {here}/d --student {reading}", "wanted a compact model"),
        ("train distil --footage {here} --examples {e} --out {here}/d --temperature 0", "--temperature"),
        ("analyze {clip} --model {uncalibrated}", "calibration.json: label_sets: missing"),
        ("watch {clip} --out {here}/w --labels reaction", "Leave reaction out of --labels"),
        ("batch @{here}/no --out {here}/b", "no list can be read from it"),
        ("batch {clip} --out {here}/b --format docx", "format 'docx' does not exist"),
        ("batch {clip} --out {here}/b --model compakt", "Did you mean compact?"),
        ("rate {e} {said} --sheet {here}/s.csv --split train", "no example asks for a cause"),
        ("rate --read {text} --key {text}", "text.mp4, line 1: no RatedCause"),
        ("serve {here}/no", "no: no such folder"),
        ("serve {here} --user a:boss", "a role of viewer, reviewer, admin"),
        ("serve {here} --state {text}", "A part of the path is a file"),
        ("decisions export {here}", "nobody has decided anything there"),
        ("quantise {untyped} --out {here}/q", "names no model_type"),
        ("extract-reaction pooled {set} --footage {here} --out {here}/f --backbone b --pooling all", "'sequence', "),
        ("extract-reaction descriptions {set} --footage {here} --out {here}/f --backbone b --prompt 3", "'frames'"),
    ],
)
def test_a_mistake_is_told_before_anything_heavy_is_imported(
    tell: Callable[[str], Ended], command: str, hint: str
) -> None:
    ended = tell(command)
    assert ended.code == 2, ended.said
    assert hint in " ".join(ended.said.split())
    assert "Traceback" not in ended.said
    assert not ended.imported


@pytest.mark.parametrize(
    "command", ["--help", "analyze --help", "models", "models compact", "train icm --rows", "train reaction --rows"]
)
def test_what_is_only_asked_about_imports_nothing_heavy(tell: Callable[[str], Ended], command: str) -> None:
    ended = tell(command)
    assert (ended.code, ended.imported) == (0, [])


@pytest.mark.parametrize("command", ["analyze {text}", "extract {text}", "chat {text}", "learn-camera {text}"])
def test_what_is_no_video_is_told_before_a_model_is_loaded(tell: Callable[[str], Ended], command: str) -> None:
    ended = tell(command)
    assert ended.code in (1, 2)
    assert "text.mp4: not a video that can be opened" in ended.said
    assert "torch" not in ended.imported


def test_an_interrupt_is_told_in_one_line(tmp_path: Path) -> None:
    waits = (
        "import atexit, gc, sys, time; from omnisila.cli import main, app; "
        "atexit.register(lambda: print('frozen:', gc.get_freeze_count() > 0, flush=True)); "
        "app.app.command('wait')(lambda: (print('ready', flush=True), time.sleep(60))); "
        "sys.argv = ['omnisila', 'wait']; main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", waits], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    printed, said = child.communicate(timeout=120)
    assert printed == "frozen: True\n", "all of torch is searched for cycles when the interpreter leaves"
    assert child.returncode == 130
    assert said.splitlines() == [
        "omnisila: interrupted; finished files are kept, run the same command again to continue."
    ]


def test_every_row_makes_a_recipe_of_its_name() -> None:
    for rows, recipe in ((ICM, icm.full_recipe), (HAWKEYE, hawkeye.full_recipe), (REACTION, reaction_recipe)):
        assert {name: row.title for name, row in rows.items()} == {name: recipe(name).name for name in rows}
