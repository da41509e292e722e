"""``omnisila learn-camera``: a fixed camera's own normal, from hours of its ordinary footage and people's decisions."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import Quiet, split_names
from omnisila.cli.telling import tell, teller
from omnisila.labels import known_sets


def learn_camera(
    footage: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOOTAGE]...", help="Videos, folders or globs in which nothing of interest happens."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The camera file; one that is there is added to.")] = Path("camera.camera"),
    decisions: Annotated[
        Path | None,
        typer.Option(
            help="A JSONL of reviewers' decisions (omnisila decisions export): labels whose findings people accept "
            "here get more of the false alarms, and events that they accepted are no ordinary footage."
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", help="Label sets to learn scores of [what the model was trained on]."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="compact, compact-hawkeye, a run folder, or a plain Video-LLM.")
    ] = "compact",
    quiet: Quiet = False,
) -> None:
    """Learn a fixed camera from its ordinary footage, for analyze --camera.

    The file is whole after each video: run the same command again to go on after a kill, or with more footage to add
    it. Exit status: 0 all learnt, 1 some videos failed (each named), 2 wrong usage.
    """
    from omnisila.camera_use import check_camera_file
    from omnisila.decisions import check_decisions
    from omnisila.errors import InputError
    from omnisila.files import check_replaceable
    from omnisila.inference.inputs import Inputs, check_only, expand
    from omnisila.inference.run_folders import check_answered, run_folder
    from omnisila.models.run_files import is_run, run_summary

    if not footage and decisions is None:
        raise InputError("nothing to learn from. Name videos, folders or globs of ordinary footage, or --decisions.")
    if not footage and not out.exists():
        raise InputError(f"{out}: no such camera file yet. Name ordinary footage to learn it from.")
    inputs = expand(footage) if footage else Inputs((), (), ())
    folder = run_folder(model)
    if is_run(folder):  # a plain Video-LLM answers any labels
        said = run_summary(folder)
        check_answered(said.name, said.labels, split_names(labels or ()))
    if decisions is not None:
        check_decisions(decisions)
    if out.exists():
        check_camera_file(out)
    check_replaceable(out)
    check_only(inputs)

    from omnisila.cameras.camera import spoken
    from omnisila.cameras.deciding import agreed_decisions, apply_decisions, events
    from omnisila.cameras.unusual import UNUSUAL
    from omnisila.inference.analyzer import Analyzer
    from omnisila.inference.learning_cameras import CameraLearner, Learnt
    from omnisila.inference.settings import AnalyzerConfig
    from omnisila.inference.zero_shot import load_model
    from omnisila.scenes.cache import FeatureCache

    run = load_model(model, folder, AnalyzerConfig())
    asked = known_sets(split_names(labels)) if labels else tuple(run.record.labels)
    learner = CameraLearner(Analyzer(run, AnalyzerConfig(labels=asked), FeatureCache()), out)
    reported = [label for name in asked for label in run.record.labels.get(name, ())]
    agreed = agreed_decisions(decisions, [*reported, UNUSUAL]) if decisions else ()
    say = teller(quiet)

    def say_end(ended: Learnt) -> None:
        told = {"learnt": f"{ended.seconds:.1f} s learnt", "known": "already learnt", "failed": "failed"}
        say(f"{ended.input.name}: {told[ended.state]}")

    for note in inputs.notes:
        say(f"note: {note}")
    failed = [*inputs.failed, *learner.learn(inputs.files, events(agreed), say_end)]
    if learner.camera is not None and agreed:
        failed += learner.learn(learner.find_outdated(events(agreed)), events(agreed), say_end)
        learner.camera = apply_decisions(learner.camera, agreed)
        learner.camera.save(out)
    for failure in failed:
        tell(f"failed: {failure.reason}", err=True)
    if learner.camera is None:
        raise InputError(f"{out}: not written, for no footage could be learnt. Give videos that play.")
    say(f"{out}: {spoken(learner.camera.hours)} of {len(learner.camera.facts.videos)} videos")
    for name in learner.camera.facts.labels:
        for label, (middle, _, high) in learner.camera.quantiles(name).items():
            say(f"  {label}: half of the windows score below {middle:.3f}, 99 % below {high:.3f}")
    if failed:
        raise typer.Exit(1)
