"""``omnisila judge``: stated causes rated from 1 to 10 by a language model behind an endpoint (Atr-R)."""

from pathlib import Path
from typing import Annotated

import typer

from omnisila.cli.arguments import Draws, Examples, Quiet, ScoredSplit
from omnisila.cli.option_groups import Estimate, KeyVariable, RequestOptions, RequiredBaseUrl, with_groups
from omnisila.cli.telling import tell, teller


@with_groups
def judge(
    examples: Examples,
    predictions: Annotated[
        list[Path],
        typer.Argument(metavar="PREDICTIONS...", help="One file a system, of any form that score takes.", exists=True),
    ],
    out: Annotated[Path, typer.Option(help="JSONL file of verdicts; an existing one is gone on with.")],
    base_url: RequiredBaseUrl,
    model: Annotated[str, typer.Option(help="The judge, as the endpoint names it.")],
    scores: Annotated[
        Path | None, typer.Option(help="Also put the scores into this scores.json, beside what it holds.")
    ] = None,
    split: ScoredSplit = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    estimate: Estimate = False,
    parallel: Annotated[int, typer.Option(min=1, help="Questions on their way at a time.")] = 4,
    temperature: Annotated[float, typer.Option(help="Below 0: left to the endpoint, as some models insist.")] = 0.0,
    draws: Draws = 1000,
    *,
    requests: RequestOptions,
    quiet: Quiet = False,
) -> None:
    """Let a language model rate each stated cause against the true one; run it again to resume.

    Exit status: 0 all judged, 1 some failed (each named), 2 wrong usage.
    """
    from omnisila.endpoint import EndpointConfig

    endpoint = EndpointConfig.from_options(
        base_url=base_url, model=model, key_variable=key_variable,
        temperature=temperature if temperature >= 0 else None, **requests.requests,
    )  # fmt: skip
    if not estimate:
        endpoint.check()

    from omnisila.cli.scored_systems import echo_scores, read_asked_and_said
    from omnisila.evaluation.answers import stated_causes
    from omnisila.evaluation.judging import Judge, Unjudged, causes_to_judge, estimate_judging, resume_verdicts
    from omnisila.evaluation.mean_ratings import add_scores, judged_scores

    say = teller(quiet)
    asked, systems = read_asked_and_said(examples, predictions, split)
    causes = stated_causes(asked, systems)
    known = resume_verdicts(out, endpoint)
    left, empty = causes_to_judge(causes, known), sum(not cause.cause for cause in causes)
    cost = (
        f"{len(left)} causes to judge, {len(causes) - empty - len(left)} done, {empty} empty: "
        f"{estimate_judging(left, known, endpoint)}"
    )
    if estimate:
        tell(cost)
        return
    say(cost)
    failed = 0
    if left:
        with endpoint.build() as client:
            for number, outcome in enumerate(Judge(client, parallel).run(causes, out), 1):
                if isinstance(outcome, Unjudged):
                    failed += 1
                    tell(f"failed: {outcome.system}, {outcome.example_id}: {outcome.reason}", err=True)
                else:
                    rating = "no rating in the answer" if outcome.rating is None else f"{outcome.rating:g}"
                    say(f"{number}/{len(left)} {outcome.system}, {outcome.example_id}: {rating}")
    result = judged_scores(causes, resume_verdicts(out, endpoint), draws)
    if scores is not None:
        add_scores(scores, result)
    if not quiet:
        echo_scores(result)
    if failed:
        tell(f"{failed} of {len(left)} causes stay without a verdict; run the same command again.", err=True)
        raise typer.Exit(1)
