"""``omnisila analyze``: what, when and why, of videos, folders and globs."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import BlurFaces, Model, Quiet, split_names
from omnisila.cli.option_groups import AnalysisOptions, with_groups
from omnisila.cli.telling import tell
from omnisila.report.exports import formats as export_formats
from omnisila.report.exports import wanted_formats


@with_groups
def analyze(
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="Videos, pictures, folders or globs.")],
    model: Model = "compact",
    out: Annotated[Path, typer.Option(help="Folder for the results; made when missing.")] = Path("omnisila-report"),
    formats: Annotated[
        str,
        typer.Option("--format", help=f"Comma-separated: html, {', '.join(export_formats())}. json is always written."),
    ] = "json,html",
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut each finding out of its video, into a folder beside the results.")
    ] = False,
    *,
    options: AnalysisOptions,
    blur_faces: BlurFaces = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON analysis per line and nothing else on standard output.")
    ] = False,
) -> None:
    """Analyse videos: findings on a timeline with causes and the evidence of each scene expert; reaction intensities.

    Exit status: 0 all analysed, 1 some failed (each named), 2 wrong usage.
    """
    from omnisila.errors import MediaError, OutputError
    from omnisila.files import check_writable
    from omnisila.inference.inputs import check_only, expand
    from omnisila.inference.run_folders import is_endpoint, model_card, plan_answering

    settings = options.settings()
    inputs = expand(videos)
    wanted = wanted_formats(split_names([formats]))
    options.check_estimate(model)
    card = model_card(plan_answering(model, settings).folders)
    check_writable(out)
    try:
        check_only(inputs)
    except MediaError as error:
        tell(f"failed: {error}", err=True)
        tell("1 failed.", err=True)
        raise typer.Exit(1) from None

    from omnisila.cli.progress import BatchProgress
    from omnisila.digests import digest
    from omnisila.inference.batch import INDEX, Batch, RunIdentity, answering_digest, output_path, summary
    from omnisila.inference.lettered import describe_estimate
    from omnisila.inference.load import load
    from omnisila.report.writer import Report

    analyzer = load(model, settings)
    if is_endpoint(model):
        if options.estimate or not quiet:
            tell(describe_estimate(analyzer, (item.path for item in inputs.files)), err=not options.estimate)
        if options.estimate:
            return
    report = Report(out, wanted, blur_faces=blur_faces, cuts=cut, model_card=card, calibration_note=analyzer.validity)
    answers = digest(analyzer.identity.digest, answering_digest(model, settings))
    identity = RunIdentity.of(answers, analyzer.config, blur_faces=blur_faces)
    for note in () if quiet else inputs.notes:
        tell(f"note: {note}", err=True)
    with BatchProgress(len(inputs.files), shown=not (quiet or as_json)) as progress:
        batch = Batch(
            out,
            lambda path: analyzer.analyze(path, progress.stage),
            report.writers(),
            identity,
            report.suffixes(),
            report.retire,
        )
        outcomes, uncut = [], []
        for item in inputs.files:
            progress.start(item.name)
            outcome = next(iter(batch.run([item])))
            if cut and outcome.state != "failed":
                uncut += report.cut(outcome)
            outcomes.append(outcome._replace(analysis=None))
            progress.report_outcome(outcome, analyzer.notes)
            if as_json and outcome.state != "failed":
                typer.echo(output_path(out, item.name, "json").read_text(encoding="utf-8"))
    ended = summary(outcomes, inputs.failed)
    many = len(inputs.files) + len(inputs.failed) > 1
    failures, index = [*(failure.reason for failure in ended.failed), *uncut], None
    try:
        if many and "html" in wanted:
            index = report.write_index(outcomes, inputs.failed)
        elif report.retire_index(ended.done):
            progress.say(f"{INDEX} of an earlier run told other results and is taken away. Analyse all for a new one.")
    except OutputError as error:
        failures.append(str(error))
    for reason in failures:
        tell(f"failed: {reason}", err=True)
    if cut and not report.clips and (ended.done or ended.skipped) and not uncut:
        progress.say("nothing was cut: there are no findings")
    progress.conclude(ended, out, index, html="html" in wanted)
    if failures:
        raise typer.Exit(1)
