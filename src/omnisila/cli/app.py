"""The ``omnisila`` command: its sub-commands and how errors end.

Exit status: 0 all done, 1 some inputs failed (each named with its reason), 2 wrong usage.
"""

import gc
import signal
import sys
from typing import Annotated

import typer

from omnisila import __version__
from omnisila.cli import (
    analyze,
    annotate,
    batch,
    calibrate,
    chat,
    decisions,
    extract,
    extract_reaction,
    judge,
    learn_camera,
    models,
    predict,
    prepare,
    quantise,
    rate,
    report,
    score,
    serve,
    train,
    watch,
)
from omnisila.cli.telling import tell
from omnisila.errors import OmnisilaError

_INTERRUPTED = 130  # as shells say it

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="What sentiment or anomalous event a video conveys, when, and why.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"omnisila {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version  # handled by its callback


app.command("analyze")(analyze.analyze)
app.command("batch")(batch.batch)
app.command("chat")(chat.chat)
app.command("extract")(extract.extract)
app.add_typer(extract_reaction.app, name="extract-reaction")
app.command("prepare")(prepare.prepare)
app.command("annotate")(annotate.annotate)
app.command("predict")(predict.predict)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("judge")(judge.judge)
app.command("rate")(rate.rate)
app.add_typer(train.app, name="train")
app.command("calibrate")(calibrate.calibrate)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.add_typer(decisions.app, name="decisions")
app.command("learn-camera")(learn_camera.learn_camera)
app.command("quantise")(quantise.quantise)
app.command("models")(models.models)


def main() -> None:
    """Entry point: an omnisila error ends in one line and status 2, an interrupt in status 130."""
    # A terminated run unwinds like Ctrl-C, so that files written aside are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(100_000)  # loading torch and transformers would search for cycles a thousand times: 0.7 s
    try:
        app()
    except OmnisilaError as error:
        tell(f"omnisila: {error}", err=True)
        sys.exit(2)
    except OSError as error:  # a name that is too long, or a folder that is closed: where it is read depends on the run
        if error.filename is None:
            raise
        tell(f"omnisila: {error.filename}: {error.strerror}. Check the path and its permissions.", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as ended:  # typer turns most interrupts into an exit
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
        typer.echo("omnisila: interrupted; finished files are kept, run the same command again to continue.", err=True)
        sys.exit(_INTERRUPTED)
    finally:
        gc.freeze()  # leaving would search all of torch for cycles, for seconds on a busy machine
