"""`seatrial package`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_error, print_json, print_lines, show_progress, shows_progress

Folder = Annotated[Path, typer.Argument(help="A run folder.")]
Engine = Annotated[str, typer.Option("--engine", help="Name of the engine in the run, such as openvino-bf16.")]
Output = Annotated[Path, typer.Option("--output", help="Folder to write.")]
Unproven = Annotated[bool, typer.Option("--unproven", help="Also where the engine did not pass; the package says so.")]

Form = Annotated[
    str,
    typer.Option(
        "--format", help="folder, or with a server's model repository: triton (onnxruntime), ovms (openvino)."
    ),
]


@shows_progress
def package(
    folder: Folder,
    engine: Engine,
    output: Output,
    unproven: Unproven = False,
    form: Form = "folder",
    as_json: Json = False,
) -> int:
    """Write an engine that passed as a folder ready to use: predict.py runs it without seatrial.

    An engine that did not pass is refused with its verdict's exit code: 3, 4 or 7.
    """
    from seatrial.workflow.package import PackageSpec, describe_open, package_engine

    with show_progress() as progress:
        packaged = package_engine(PackageSpec(folder, engine, output, unproven, form), progress)
    verdict = packaged.verdict
    if packaged.manifest is None:
        reasons = "; ".join(describe_open(verdict))
        text = f"{engine} did not pass, so it is not packaged: {reasons}; --unproven packages it all the same"
        print_error(text)
        return verdict.exit_code
    if as_json:
        print_json(packaged.manifest)
    else:
        print_lines(output, f"python {output / 'predict.py'} IMAGE")
    return 0
