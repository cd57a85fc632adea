"""`seatrial data`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.show import showing

app = typer.Typer(help="Make and check data sets.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make and check data sets."""


@app.command("make-demo")
def make_demo(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Draw scikit-learn's digits as colour JPEG files in ImageNet's layouts, with labels and a card."""
    from seatrial.data.demo import make_demo as make

    with showing() as progress:
        made = make(folder, progress)
    print(f"{made.card}\n{made.train}\n{made.val}\n{made.labels}\n{made.calibration}")
