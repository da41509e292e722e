"""From a model's name to its run folders, and whether they answer what is asked; nothing is loaded for it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from omnisila import weights
from omnisila.digests import digest
from omnisila.errors import InputError, LabelError, unknown
from omnisila.inference.function_system import FunctionSystem
from omnisila.inference.settings import AnalyzerConfig, split_settings
from omnisila.labels import check_label_sets, label_set
from omnisila.models.backbones import check_video_llm
from omnisila.models.baselines.table import baseline_of
from omnisila.models.run_files import RUN, is_compact, is_reaction, is_run, run_calibration, run_summary
from omnisila.operating_points import Calibration, LabelSetCalibration, Shortcuts
from omnisila.weights.checkpoint_files import CONFIG, check_source, fetch

RELEASE, QUERY, OPENAI = "hawkeye-release:", "query:", "openai:"  # systems that are no run folders
ASKED = (QUERY, OPENAI)
_REACTIONS = {"compact": "compact-reaction"}  # the embedded reaction model that goes with an embedded scene model
FIRST_THRESHOLD = 0.1  # of the first model's scores of an event, where no calibration names another
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Asked(NamedTuple):
    """A run folder, or that of a plain Video-LLM, with what is asked of the model; ``model`` is what it was called."""

    model: str
    folder: Path
    settings: AnalyzerConfig


class Answering(NamedTuple):
    """Which runs answer: a scene model's, a reaction model's, or both."""

    scenes: Asked | None
    reaction: Asked | None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(run.folder for run in self if run is not None)


def plan_answering(model: str, settings: AnalyzerConfig) -> Answering:
    """The runs that answer what is asked of a model, each label set once; by default what the model was trained on.

    Raises:
        InputError: no such model, a label set that it does not answer, or settings that it cannot meet.
        WeightsError: the records of its run cannot be read.
    """
    check_label_sets(settings.labels)
    if model.startswith(ASKED):
        _check_asked(model, settings)
        check_zero_shot(model, settings, has_own_way=model.startswith(QUERY))
        check_cascade(model, settings, False)
        return Answering(None, None)
    check_zero_shot(model, settings, has_own_way=False)
    if "labels" not in settings.model_fields_set and is_run(folder := model_folder(model)):
        settings = settings.replace(labels=tuple(run_summary(folder).labels))
    events, reactions = split_settings(settings.replace(labels=tuple(dict.fromkeys(settings.labels))))
    scenes = Asked(model, run_folder(model), events) if events else None
    if scenes is not None:
        shortcuts_of(scenes.settings, None)
    if scenes is not None and is_run(scenes.folder):
        check_zero_shot(model, settings, has_own_way=True)
        said = run_summary(scenes.folder)
        check_answered(said.name, said.labels, scenes.settings.labels)
        calibration = run_calibration(scenes.folder)
        if scenes.settings.max_fnr is not None:
            shortcuts = shortcuts_of(scenes.settings, calibration)
            for name in scenes.settings.labels:
                calibration_at(said.name, calibration, name, scenes.settings.max_fnr, shortcuts)
    return Answering(scenes, Asked(model, reaction_folder(model), reactions) if reactions else None)


def model_card(folders: Iterable[Path]) -> str | None:
    """The cards of runs, in Markdown; None where there is none."""
    cards = [folder / "card.md" for folder in folders]
    return "\n\n".join(card.read_text(encoding="utf-8") for card in cards if card.is_file()) or None


def is_endpoint(model: str) -> bool:
    return model.removeprefix(QUERY).startswith(OPENAI)


def check_zero_shot(model: str, settings: AnalyzerConfig, has_own_way: bool) -> None:
    """Whether a model is asked as only a plain Video-LLM can be, which it is unless it ``has_own_way``.

    Raises:
        InputError: it is, and is none; or an endpoint's settings of a model on this machine.
    """
    wanted = {"--base-url": settings.base_url is not None, "--video-url": settings.send_video}
    if not is_endpoint(model) and (given := [name for name, is_given in wanted.items() if is_given]):
        raise InputError(
            f"{', '.join(given)}: model {model!r} is on this machine. Give --model {OPENAI}NAME, or leave it out."
        )
    if has_own_way and (settings.contextual or settings.scene_text):
        raise InputError(
            f"model {model!r} is not a plain Video-LLM that answers by likelihood: --contextual and --scene-text mean "
            "nothing to it. Leave them out."
        )


def check_cascade(model: str, settings: AnalyzerConfig, scores_windows: bool) -> None:
    """Whether a model can follow a first one, which takes one that scores windows by likelihood.

    Raises:
        InputError: it cannot.
    """
    if settings.first is not None and not scores_windows:
        raise InputError(f"--first {settings.first}: model {model!r} scores no windows that it could skip. Leave it.")
    if settings.kept_tokens < 1 and not scores_windows:
        raise InputError(f"--video-tokens: model {model!r} is no Video-LLM that scores windows. Leave it out.")


def check_answered(model: str, trained: Mapping[str, tuple[str, ...]], asked: Iterable[str]) -> None:
    """Whether a model was trained on the label sets that are asked for.

    Raises:
        LabelError: it was not; the message names an installed model that was.
    """
    for name in asked:
        label_set(name)
        if not trained.get(name):
            others = [run for run in weights.RUNS if name in run_summary(weights.FOLDER / run).labels]
            advice = f"--model {others[0]} answers it" if others else "no installed model answers it"
            raise LabelError(
                f"label set {name!r}: model {model} was trained on: {', '.join(trained)}. Ask for those; {advice}; "
                "a plain Video-LLM takes any."
            )


def shortcuts_of(settings: AnalyzerConfig, calibration: Calibration | None) -> Shortcuts:
    """What a model that is asked so leaves out; a threshold of 0 leaves out nothing.

    Args:
        calibration: of the model; the first model's usual threshold is the one that it was fitted with.

    Raises:
        InputError: the first model is no run that finds events, or only its threshold is given.
    """
    if settings.first is None:
        if settings.first_threshold is not None:
            raise InputError(f"--first-threshold {settings.first_threshold:g}: of which model? Give --first compact.")
        return Shortcuts(kept_tokens=settings.kept_tokens)
    folder = run_folder(settings.first)
    if not is_run(folder):
        raise InputError(f"--first {settings.first}: not trained for any label. Give compact, or a run folder.")
    known = run_calibration(folder)  # its temperatures change its scores
    first = digest(run_summary(folder).identity.digest + (known.model_dump_json() if known else ""))
    fitted = calibration.shortcuts if calibration else Shortcuts()
    usual = fitted.first_threshold if fitted.first == first else FIRST_THRESHOLD
    threshold = usual if settings.first_threshold is None else settings.first_threshold
    near = {"first": first, "first_threshold": threshold} if threshold else {}
    return Shortcuts(kept_tokens=settings.kept_tokens, **near)


def calibration_at(
    model: str, calibration: Calibration | None, name: str, max_fnr: float, shortcuts: Shortcuts
) -> LabelSetCalibration:
    """A label set's calibration with the thresholds for a false-negative rate.

    Raises:
        InputError: the model was not calibrated for it, or not with what it leaves out.
    """
    if calibration is not None and calibration.shortcuts != shortcuts:
        raise InputError(
            f"--max-fnr {max_fnr:g}: the thresholds of model {model} were fitted with other choices of --first, "
            "--first-threshold and --video-tokens. Fit them again: omnisila calibrate with the same options."
        )
    fitted = calibration.label_sets.get(name) if calibration else None
    if fitted is None:
        raise InputError(
            f"--max-fnr {max_fnr:g}: model {model} has no calibration for label set {name!r}. Leave --max-fnr out, or "
            "calibrate the run."
        )
    return fitted.replace(thresholds=fitted.at_most(max_fnr).thresholds)


def model_folder(model: str) -> Path:
    """The folder that a model's name stands for: an embedded model's, the folder itself, or one on the hub.

    It is a run (``is_run``), or a plain Video-LLM of a family that is known.

    Raises:
        InputError: none of them.
        WeightsError: the hub cannot be reached or has no such model, or it is of another family.
    """
    if model in weights.RUNS:
        return weights.FOLDER / model
    path = Path(model)
    if is_run(path):
        return path
    if path.is_dir():
        if not (path / CONFIG).is_file() and baseline_of(path) is None:
            raise InputError(
                f"model {model!r}: a folder without a {RUN}, so it is no finished run, and without a {CONFIG}, so it "
                "is no Video-LLM. Give a run folder of omnisila train, or a Video-LLM in transformers' format or as "
                "its authors publish it."
            )
        check_video_llm(model)
        return path
    if path.exists() or not _HUB_ID.fullmatch(model):
        raise InputError(
            f"{unknown('model', model, weights.RUNS).rstrip('.')}; or give a run folder, a Video-LLM's folder, or the "
            "hub id (owner/name) of one."
        )
    folder = fetch(model, nested=False)
    if is_run(folder):
        return fetch(model, nested=True)
    check_video_llm(model)
    return folder


def run_folder(model: str) -> Path:
    """The folder of what finds events, by its name: a scene model's run, or a plain Video-LLM.

    Raises:
        InputError: no such model, or one of reactions.
    """
    folder = model_folder(model)
    if is_reaction(folder):
        raise InputError(
            f"model {model!r} measures reactions and nothing else. Give a run of omnisila train icm, hawkeye or "
            "compact, or analyse with --labels reaction."
        )
    return folder


def student_folder(model: str) -> Path:
    """The folder of a compact model, by its name.

    Raises:
        InputError: another model, or none.
    """
    folder = run_folder(model)
    if not is_compact(folder):
        raise InputError(f"--student {model}: a pretrained Video-LLM, wanted a compact model. Give compact.")
    return folder


def reaction_folder(model: str) -> Path:
    """The run folder of a reaction model, by its name; an embedded scene model stands for the one that goes with it.

    Raises:
        InputError: no such model, or one without reactions.
    """
    folder = model_folder(_REACTIONS[model] if _REACTIONS.get(model) in weights.RUNS else model)
    if not is_reaction(folder):
        raise InputError(
            f"model {model!r} does not measure reactions. Train one with omnisila train reaction and give its run "
            "folder as the model."
        )
    return folder


def check_system(model: str, settings: AnalyzerConfig) -> tuple[str, ...] | None:
    """Whether a name stands for a system that answers examples, so asked; nothing is loaded.

    Returns:
        The label sets that it was trained on; None of one that takes any.

    Raises:
        InputError: it does not.
        WeightsError: a Video-LLM to ask, neither a folder of one nor the hub id of one.
    """
    named = model.startswith((RELEASE, QUERY)) or is_function(model)
    has_own_way = named or (not is_endpoint(model) and is_run(model_folder(model)))
    check_zero_shot(model, settings, has_own_way)
    if has_own_way and (settings.window_s or settings.rate_hz):
        raise InputError(
            f"model {model!r} has windows of its own, or none: --window and --rate mean nothing to it. Leave them out."
        )
    scores = not named and not is_endpoint(model) and not is_reaction(model_folder(model))
    check_cascade(model, settings, scores)
    shortcuts_of(settings, None)
    if model.startswith(RELEASE):
        if not Path(model.removeprefix(RELEASE)).is_dir():
            raise InputError(
                f"model {model!r}: no such folder. Give the one with the authors' checkpoint and features."
            )
    elif is_function(model):
        FunctionSystem.from_name(model)
    elif model.startswith(ASKED):
        _check_asked(model, settings)
    elif is_run(folder := model_folder(model)):
        return tuple(run_summary(folder).labels)
    return None


def _check_asked(model: str, settings: AnalyzerConfig) -> None:
    name = model.removeprefix(QUERY)
    settings.endpoint(name.removeprefix(OPENAI)).check() if is_endpoint(model) else check_source(name)


def is_function(model: str) -> bool:
    """Whether a name is ``module:function``."""
    return ":" in model and not model.startswith(ASKED) and not Path(model).exists()
