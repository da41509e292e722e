"""``omnisila judge``: stated causes rated from 1 to 10 by a language model behind an endpoint (Atr-R)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisila.cli.arguments import Draws, Examples, Quiet, ScoredSplit
from omnisila.cli.option_groups import Estimate, KeyVariable, RequestOptions, RequiredBaseUrl, with_groups
from omnisila.cli.telling import tell, teller

if TYPE_CHECKING:
    from omnisila.evaluation.judging import Estimate as Expected


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

    from omnisila.cli.scored_systems import asked_and_said, echo_scores
    from omnisila.evaluation.answers import stated_causes
    from omnisila.evaluation.judging import Judge, Unjudged, estimate_judging, resume_verdicts
    from omnisila.evaluation.mean_ratings import add_scores, judged_scores

    say = teller(quiet)
    asked, systems = asked_and_said(examples, predictions, split)
    causes = stated_causes(asked, systems)
    expected = estimate_judging(causes, resume_verdicts(out, endpoint), endpoint)
    if estimate:
        tell(_estimate_text(expected))
        return
    say(_estimate_text(expected))
    failed = 0
    if expected.causes:
        with endpoint.build() as client:
            for number, outcome in enumerate(Judge(client, parallel).run(causes, out), 1):
                if isinstance(outcome, Unjudged):
                    failed += 1
                    tell(f"failed: {outcome.system}, {outcome.example_id}: {outcome.reason}", err=True)
                else:
                    rating = "no rating in the answer" if outcome.rating is None else f"{outcome.rating:g}"
                    say(f"{number}/{expected.causes} {outcome.system}, {outcome.example_id}: {rating}")
    result = judged_scores(causes, resume_verdicts(out, endpoint), draws)
    if scores is not None:
        add_scores(scores, result)
    if not quiet:
        echo_scores(result)
    if failed:
        tell(f"{failed} of {expected.causes} causes stay without a verdict; run the same command again.", err=True)
        raise typer.Exit(1)


def _estimate_text(expected: "Expected") -> str:
    price = "" if expected.price is None else f", price about {expected.price:.2f}"
    return (
        f"{expected.causes} causes to judge, {expected.already_done} done, {expected.empty} empty: "
        f"{expected.requests} requests, about {expected.prompt_tokens} tokens to read and "
        f"{expected.completion_tokens} to write{price}"
    )
