"""``omnisila predict``: a system's answers to prepared examples."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import (
    Contextual,
    Examples,
    First,
    FirstThreshold,
    Footage,
    LabelFiles,
    Parallel,
    Quiet,
    SceneText,
    VideoTokens,
    VideoUrl,
)
from omnisila.cli.endpoint_options import (
    BaseUrl,
    Estimate,
    KeyVariable,
    MaxTokens,
    PriceIn,
    PriceOut,
    RequestsPerMinute,
    Retries,
    TimeoutS,
)
from omnisila.cli.telling import tell, teller
from omnisila.labels import known_sets


def predict(
    examples: Examples,
    footage: Footage,
    model: Annotated[
        str,
        typer.Option(
            help="compact, a run folder, hawkeye-release:FOLDER (the authors' checkpoint and feature files), a plain "
            "Video-LLM's folder or hub id (answers by likelihood), query:BACKBONE (the same, asked), openai:NAME (one "
            "behind an endpoint), or module:function of (example, video path)."
        ),
    ] = "compact",
    out: Annotated[Path, typer.Option(help="Where the answers go; run again to resume.")] = Path("predictions.jsonl"),
    split: Annotated[str | None, typer.Option(help="Only this split: train, val or test. Default: all.")] = None,
    labels: LabelFiles = None,
    window: Annotated[
        float | None, typer.Option(help="Seconds of a scored window, of a plain Video-LLM or an endpoint [1].")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Frames per second that such a window's 8 frames are taken at [4].")
    ] = None,
    first: First = None,
    first_threshold: FirstThreshold = None,
    video_tokens: VideoTokens = 1.0,
    contextual: Contextual = False,
    scene_text: SceneText = False,
    base_url: BaseUrl = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    video_url: VideoUrl = False,
    estimate: Estimate = False,
    parallel: Parallel = 4,
    requests_per_minute: RequestsPerMinute = None,
    retries: Retries = 5,
    timeout_s: TimeoutS = 120.0,
    max_tokens: MaxTokens = 400,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    quiet: Quiet = False,
) -> None:
    """Answer prepared examples with a model or a Python function.

    Exit status: 0 all answered, 1 some videos failed (each named), 2 wrong usage.
    """
    from omnisila.data.asked_examples import check_examples
    from omnisila.endpoint.settings import RequestConfig
    from omnisila.files import check_replaceable
    from omnisila.inference.run_folders import check_system, is_endpoint
    from omnisila.inference.settings import AnalyzerConfig

    known_sets(labels or ())
    check_examples(examples, split)
    settings = AnalyzerConfig.from_options(
        first=first,
        first_threshold=first_threshold,
        kept_tokens=video_tokens,
        contextual=contextual,
        scene_text=scene_text,
        base_url=base_url,
        key_variable=key_variable,
        send_video=video_url,
        window_s=window,
        rate_hz=rate,
        requests=RequestConfig.from_options(
            parallel=parallel,
            retries=retries,
            timeout_s=timeout_s,
            requests_per_minute=requests_per_minute,
            max_tokens=max_tokens or None,
            price_in_per_million=price_in,
            price_out_per_million=price_out,
        ),
    )
    check_system(model, settings)
    check_replaceable(out)
    if estimate and not is_endpoint(model):
        raise typer.BadParameter(f"model {model!r} is on this machine and costs nothing", param_hint="--estimate")

    from omnisila.inference.lettered import expected_of
    from omnisila.inference.predict import outdated_file
    from omnisila.inference.predict import predict as answer
    from omnisila.inference.systems import system
    from omnisila.records import records
    from omnisila.schema import Example

    say = teller(quiet)
    answering = system(model, settings=settings)
    if notice := getattr(answering, "notice", ""):
        say(f"note: {notice}")
    if is_endpoint(model):
        wanted = [each for each in records(examples, Example) if split in (None, each.split)]
        cost = expected_of(answering, wanted, settings)
        if estimate:
            tell(str(cost))
            return
        say(f"{answering.name}: {cost}")
    ended = answer(examples, footage, answering, out, split, lambda video, count: say(f"{video}: {count} examples"))
    say(f"{out}: {ended.answered} answers, {ended.before} from before")
    if ended.unparsed:
        say(f"{ended.unparsed} answers could not be parsed: they are kept as text and counted by score")
    if ended.outdated:
        say(
            f"{ended.outdated} answers from before were to other times, questions or footage: what is still asked was "
            f"asked again, the old ones are in {outdated_file(out)}"
        )
    for failure in ended.failed:
        tell(f"failed: {failure.reason}", err=True)
    if ended.failed:
        raise typer.Exit(1)
