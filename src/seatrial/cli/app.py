"""The verbs in the order of the pipeline."""

from typing import Annotated

import typer

from seatrial import __version__
from seatrial.cli import (
    bench,
    board,
    check_app,
    choose,
    compare,
    compat,
    compile,
    data,
    diagnose,
    doctor,
    evaluate,
    export,
    import_log,
    infer,
    load_test,
    package,
    preprocess,
    quantize,
    recipes,
    run,
    run_many,
    score,
    train,
    ui,
)
from seatrial.cli.output.progress import Quiet, be_quiet, print_lines
from seatrial.errors import ExitCode

HELP = "Put an image classifier through its sea trial: from checkpoint to engine, accuracy proved and speed measured."
EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"{code:5}  {code.meaning}" for code in ExitCode)


def make_app() -> typer.Typer:
    """The command line; imports none of the libraries that a verb may need."""
    app = typer.Typer(
        name="seatrial",
        help=HELP,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_options)
    app.command()(doctor.doctor)
    app.add_typer(recipes.app, name="recipes")
    app.add_typer(data.app, name="data")
    app.add_typer(check_app.app, name="check-app")
    app.command()(preprocess.preprocess)
    app.command(cls=train.TrainCommand)(train.train)
    prepare = (export.export, export.simplify, quantize.quantize, compile.compile)
    judge = (infer.infer, evaluate.evaluate, score.score, diagnose.diagnose)
    measure = (bench.bench, load_test.load_test, import_log.import_log)
    together = (compare.compare, board.board, ui.ui, run.report, run.run, run_many.run_many)
    deploy = (choose.choose, package.package, run.demo)
    for verb in (*prepare, *judge, *measure, *together, *deploy):
        app.command()(verb)
    # What follows a guide's command is the command's, whatever it looks like.
    app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(compat.compat)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print_lines(f"seatrial {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    quiet: Quiet = False,
) -> None:
    if quiet:
        be_quiet()
