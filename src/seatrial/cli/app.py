"""The verbs in the order of the pipeline."""

from typing import Annotated

import typer

from seatrial import __version__
from seatrial.cli import (
    bench,
    compare,
    compile,
    data,
    diagnose,
    doctor,
    evaluate,
    export,
    import_log,
    infer,
    preprocess,
    quantize,
    recipes,
    run,
    score,
    train,
)

HELP = """Put an image classifier through its sea trial: from checkpoint to engine, accuracy proved and speed measured.

Exit codes: 0 pass, 1 a bug of ours, 2 usage, 3 accuracy or parity failed, 4 speed gate failed, 5 engine missing or
not as asked, 6 data invalid, 7 inconclusive, 8 file refused, 9 storage, 10 training
diverged, 130 stopped (resumable)."""


def make_app() -> typer.Typer:
    """The command line; imports none of the libraries that a verb may need."""
    app = typer.Typer(
        name="seatrial",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_options)
    app.command()(doctor.doctor)
    app.add_typer(recipes.app, name="recipes")
    app.add_typer(data.app, name="data")
    app.command()(preprocess.preprocess)
    app.command(cls=train.TrainCommand)(train.train)
    prepare = (export.export, export.simplify, quantize.quantize, compile.compile)
    judge = (infer.infer, evaluate.evaluate, score.score, diagnose.diagnose, bench.bench, import_log.import_log)
    together = (compare.compare, run.report, run.run, run.demo)
    for verb in (*prepare, *judge, *together):
        app.command()(verb)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        print(f"seatrial {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass
