"""``omnisila calibrate``: the thresholds of a run, from held-out videos with known times."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import LabelFiles, Quiet, file_argument, file_option, folder_option
from omnisila.cli.option_groups import ShortcutOptions, with_groups
from omnisila.cli.telling import tell, teller


@with_groups
def calibrate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder of omnisila train; with --out an embedded model too.")
    ],
    examples: Annotated[Path | None, file_argument("EXAMPLES", "An examples.jsonl, as prepare writes it.")] = None,
    footage: Annotated[Path, folder_option("Folder that the videos are in.")] = Path(),
    decisions: Annotated[
        Path | None,
        file_option(
            "In place of EXAMPLES: a decisions.jsonl of omnisila decisions export. What was accepted is taken as "
            "the truth, all other time of these videos as without event."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split to fit on: videos the run was not trained on.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Calibrate a copy of the run, made here.")] = None,
    labels: LabelFiles = None,
    *,
    options: ShortcutOptions,
    quiet: Quiet = False,
) -> None:
    """Fit temperature and thresholds for wanted miss rates, and say what each costs in false alarms.

    The table goes into the run folder; analyze uses it, and --max-fnr chooses from it. It holds only for footage like
    the split it was fitted on. Exit status: 0 fitted, 2 wrong usage or nothing to fit on.
    """
    from omnisila import weights
    from omnisila.data.asked_examples import check_examples
    from omnisila.decisions import check_decisions
    from omnisila.errors import InputError
    from omnisila.inference.run_folders import shortcuts_of
    from omnisila.labels import known_sets
    from omnisila.models.run_files import check_copy, copy_run, is_reaction, run_summary

    known_sets(labels or ())
    embedded = str(run) in weights.RUNS and not run.exists()
    if embedded and out is None:
        raise InputError(
            f"{run} is an embedded model, which is not written to. Give --out FOLDER for a copy with thresholds of its "
            "own, or a run folder of omnisila train icm or hawkeye."
        )
    source = weights.FOLDER / run if embedded else run
    if is_reaction(source):
        raise InputError(f"{run} measures reactions, which have no thresholds. Give a run of omnisila train icm.")
    run_summary(source)
    settings = options.settings()
    shortcuts_of(settings, None)
    asked = examples or decisions
    if asked is None or (examples is not None and decisions is not None):
        raise InputError("give either an examples.jsonl of omnisila prepare, or --decisions.")
    if examples is not None:
        check_examples(examples, split)
    else:
        check_decisions(asked)
    if out is not None:
        check_copy(source, out)

    from omnisila.operating_points import ALARMS_ARE_STRETCHES
    from omnisila.recipes.shipping.calibrating_runs import calibrate_run, held_out, hold_decisions
    from omnisila.scenes.cache import FeatureCache

    say = teller(quiet)
    held = hold_decisions(asked, say) if examples is None else held_out(asked, split)
    target = copy_run(source, out) if out is not None else source
    calibration = calibrate_run(target, held, footage, FeatureCache(), say, settings)
    for name, fitted in calibration.label_sets.items():
        tell(f"{name}: temperature {fitted.temperature:.2f}")
        for point in fitted.operating_points:
            alarms = "-" if point.false_alarms_per_hour is None else f"{point.false_alarms_per_hour:.0f}"
            flagged = "-" if point.false_alarm_frac is None else f"{point.false_alarm_frac:.1%}"
            tell(
                f"  at most {point.fnr_target:.0%} missed per video ({point.method}): {alarms} false alarms per hour, "
                f"{flagged} of eventless time flagged, fitted on {point.videos} eventful videos"
            )
    tell(ALARMS_ARE_STRETCHES)
