"""Options of commands that ask an endpoint, each stated once."""

from typing import Annotated

import typer

_ADDRESS = typer.Option(help="OpenAI-compatible endpoint that has the model, such as http://localhost:8000/v1.")
BaseUrl = Annotated[str | None, _ADDRESS]  # of models named openai:NAME
RequiredBaseUrl = Annotated[str, _ADDRESS]
KeyVariable = Annotated[str, typer.Option(help='Environment variable with its key; "" for a server without keys.')]
Estimate = Annotated[bool, typer.Option("--estimate", help="Only tell what would be asked; ask none of it.")]
RequestsPerMinute = Annotated[float | None, typer.Option(help="At most so many, retries included.")]
Retries = Annotated[int, typer.Option(help="Of a request refused for the moment.", min=0)]
TimeoutS = Annotated[float, typer.Option(help="Seconds for one try.")]
MaxTokens = Annotated[int, typer.Option(help="Of one answer; 0 sends no limit.", min=0)]
PriceIn = Annotated[float | None, typer.Option(help="Of a million tokens read, for the estimate.")]
PriceOut = Annotated[float | None, typer.Option(help="Of a million tokens written, for the estimate.")]
