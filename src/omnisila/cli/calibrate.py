"""``omnisila calibrate``: the thresholds of a run, from held-out videos with known times."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of omnisila train.")],
    examples: Annotated[
        Path,
        typer.Argument(
            metavar="EXAMPLES", help="An examples.jsonl, as prepare writes it.", exists=True, dir_okay=False
        ),
    ],
    footage: Annotated[
        Path, typer.Option(help="Folder that the examples' videos are in.", exists=True, file_okay=False)
    ],
    split: Annotated[str, typer.Option(help="The split to fit on: videos the run was not trained on.")] = "val",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Fit temperature and thresholds for wanted miss rates, and say what each costs in false alarms.

    The table goes into the run folder; analyze uses it, and --max-fnr chooses from it. It holds only for footage like
    the split it was fitted on. Exit status: 0 fitted, 2 wrong usage or nothing to fit on.
    """
    from omnisila import weights
    from omnisila.errors import InputError
    from omnisila.models.run_files import is_reaction, run_summary

    if str(run) in weights.RUNS and not run.exists():
        raise InputError(
            f"{run} is an embedded model: its training calibrates it (omnisila train {run} --folds). Give a run folder "
            "of omnisila train icm or hawkeye."
        )
    if is_reaction(run):
        raise InputError(f"{run} measures reactions, which have no thresholds. Give a run of omnisila train icm.")
    run_summary(run)

    from omnisila.operating_points import ALARMS_ARE_STRETCHES
    from omnisila.recipes.shipping.calibrating_runs import calibrate_run
    from omnisila.scenes.cache import FeatureCache

    say = (lambda _: None) if quiet else (lambda line: typer.echo(line, err=True))
    calibration = calibrate_run(run, examples, footage, split, FeatureCache(), say)
    for name, one in calibration.label_sets.items():
        typer.echo(f"{name}: temperature {one.temperature:.2f}")
        for point in one.operating_points:
            alarms = "-" if point.false_alarms_per_hour is None else f"{point.false_alarms_per_hour:.0f}"
            flagged = "-" if point.false_alarm_frac is None else f"{point.false_alarm_frac:.1%}"
            typer.echo(
                f"  at most {point.fnr_target:.0%} missed per video ({point.method}): {alarms} false alarms per hour, "
                f"{flagged} of eventless time flagged, fitted on {point.videos} eventful videos"
            )
    typer.echo(ALARMS_ARE_STRETCHES)
