"""`seatrial compile`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial import api
from seatrial.cli.completion import complete_engine, complete_precision, complete_references
from seatrial.cli.options import Json, Output
from seatrial.cli.output.progress import print_json, print_lines, show_progress, shows_progress


@shows_progress
def compile(
    graph: Annotated[Path, typer.Argument(help="An ONNX file with the manifest that `seatrial export` wrote.")],
    engine: Annotated[
        str, typer.Option(help="An engine that `seatrial doctor` lists.", autocompletion=complete_engine)
    ],
    output: Output,
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32, bf16, fp16, int8 …; default: the graph's, in which the engine can run it.",
            autocompletion=complete_precision,
        ),
    ] = None,
    batch_size: Annotated[str, typer.Option(help="Numbers such as 1,8, one file each, or `dynamic`.")] = "dynamic",
    device: Annotated[str | None, typer.Option(help="Such as cpu, cuda:0; default: the engine's first.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, an option of the engine; may be repeated.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe name or card of a GRAPH that `seatrial export` did not write.",
            autocompletion=complete_references,
        ),
    ] = None,
    aipp: Annotated[
        Path | None, typer.Option(help="AIPP configuration to put in front of a GRAPH of floats, for any engine.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find and keep the fastest batch size, streams and threads.")
    ] = False,
    speed_check: Annotated[
        bool, typer.Option(help="Time an int8 engine beside a float one and warn where it is slower.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Compile a graph for an engine and read back what was built."""
    with show_progress() as progress:
        built = api.compile(
            graph,
            engine=engine,
            output=output,
            precision=precision,
            batch_size=batch_size,
            device=device,
            option=option,
            recipe=recipe,
            aipp=aipp,
            tune=tune,
            speed_check=speed_check,
            progress=progress,
        ).manifest
    if as_json:
        print_json(built.model_dump(mode="json", by_alias=True))
        return
    executed = ", ".join(f"{count} in {name}" for name, count in sorted(built.executed.items())) or "as the graph"
    files = ", ".join(f"{m.path} (batch {m.batch_size or 'free'})" for m in built.files)
    print_lines(
        f"{output}: {built.engine} {built.sdk_version} {built.precision} on {built.device}; layers: {executed}; {files}"
    )
    if built.tuning is not None:
        from seatrial.workflow.tune import describe_trial

        print_lines(f"fastest of {len(built.tuning.trials)} trials: {describe_trial(built.tuning.best)}")
