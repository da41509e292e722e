"""``omnisila analyze``: what, when and why, of videos, folders and globs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from omnisila.cli.arguments import BaseUrl, Contextual, KeyVariable, Quiet, SceneText, listed
from omnisila.labels import known_sets
from omnisila.report.exports import formats as export_formats
from omnisila.report.exports import wanted_formats


def analyze(
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="Videos, pictures, folders or globs.")],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            help="What to look for: implicit (events), explicit (sentiment of faces), anomaly (UCF-Crime's) or "
            "reaction (intensities), or a file that defines a label set (.yaml, for a plain Video-LLM); several with "
            "commas, or repeat it [what the model was trained on].",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="compact, compact-hawkeye, a run folder, or a plain Video-LLM's folder (zero-shot), or the hub id of "
            "either."
        ),
    ] = "compact",
    out: Annotated[Path, typer.Option(help="Folder for the results; made when missing.")] = Path("omnisila-report"),
    formats: Annotated[
        str,
        typer.Option("--format", help=f"Comma-separated: html, {', '.join(export_formats())}. json is always written."),
    ] = "json,html",
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut each finding out of its video, into a folder beside the results.")
    ] = False,
    window: Annotated[
        float | None, typer.Option(help="Length of a scored window in seconds [model's own: 1; of reactions: 10].")
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(help="Seconds from one window of reaction intensities to the next [their length: no overlap]."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Frames per second that a window's 8 frames are taken at [model's own: 4].")
    ] = None,
    max_fnr: Annotated[
        float | None,
        typer.Option(
            help="Choose thresholds for at most this false-negative rate per video (conformal risk control on the "
            "model's validation footage; it holds only for footage like that)."
        ),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(
            help="The fixed camera that the videos are of, a file of omnisila learn-camera: thresholds by its own "
            "ordinary scores, and findings of what it never showed (Unusual).",
        ),
    ] = None,
    alarms_per_hour: Annotated[
        float | None,
        typer.Option(
            help="False alarms of each label set, and of Unusual, that are wanted on that camera at most [0.2]."
        ),
    ] = None,
    contextual: Contextual = False,
    scene_text: SceneText = False,
    base_url: BaseUrl = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    blur_faces: Annotated[bool, typer.Option("--blur-faces", help="Blur faces in the page and in cut clips.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON analysis per line and nothing else on standard output.")
    ] = False,
) -> None:
    """Analyse videos: findings on a timeline with causes and the evidence of each scene expert; reaction intensities.

    Exit status: 0 all analysed, 1 some failed (each named), 2 wrong usage.
    """
    from omnisila.files import check_writable
    from omnisila.inference.inputs import expand
    from omnisila.inference.run_folders import answering
    from omnisila.inference.settings import AnalyzerConfig

    zero_shot: dict[str, Any] = {"contextual": contextual, "scene_text": scene_text, "base_url": base_url}
    settings = AnalyzerConfig.from_options(
        window_s=window,
        hop_s=hop,
        rate_hz=rate,
        max_fnr=max_fnr,
        camera=camera,
        alarms_per_hour=alarms_per_hour,
        **zero_shot,
        key_variable=key_variable,
    )
    if labels:
        settings = settings.replace(labels=known_sets(listed(labels)))
    inputs = expand(videos)
    wanted = wanted_formats(listed([formats]))
    cards = [folder / "card.md" for folder in answering(model, settings).folders]
    check_writable(out)

    from omnisila.cli.progress import BatchProgress
    from omnisila.digests import file_digest
    from omnisila.errors import OutputError
    from omnisila.inference.batch import INDEX, Batch, RunIdentity, output_path, summary
    from omnisila.inference.load import load
    from omnisila.report.writer import Report

    analyzer = load(model, settings)
    report = Report(
        out,
        wanted,
        blur_faces=blur_faces,
        cuts=cut,
        model_card="\n\n".join(card.read_text(encoding="utf-8") for card in cards if card.is_file()) or None,
        calibration_note=analyzer.validity,
    )
    identity = RunIdentity(
        model_digest=analyzer.identity.digest,
        labels=analyzer.config.labels,
        settings={
            "window_s": window,
            "hop_s": hop,
            "rate_hz": rate,
            "max_fnr": max_fnr,
            "blur_faces": blur_faces,
            "camera": file_digest(camera) if camera else None,
            "alarms_per_hour": alarms_per_hour,
            **zero_shot,
        },
    )
    for note in () if quiet else inputs.notes:
        typer.echo(f"note: {note}", err=True)
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
        typer.echo(f"failed: {reason}", err=True)
    if cut and not report.clips and (ended.done or ended.skipped) and not uncut:
        progress.say("nothing was cut: there are no findings")
    progress.conclude(ended, out, index, html="html" in wanted)
    if failures:
        raise typer.Exit(1)
