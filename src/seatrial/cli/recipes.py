"""`seatrial recipes`."""

from typing import Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.show import print_json, print_table

app = typer.Typer(help="List the recipes, or show one.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def list_recipes(context: typer.Context, as_json: Json = False) -> None:
    """List the recipes that come with seatrial, or show one."""
    if context.invoked_subcommand is not None:
        return
    from seatrial.recipes import list_cards, load_recipe

    recipes = [load_recipe(name) for name in list_cards()]
    if as_json:
        print_json({recipe.name: recipe.model_dump(mode="json", exclude_none=True) for recipe in recipes})
        return
    rows = []
    for recipe in recipes:
        top1 = f"{recipe.reference.top1:.2%}" if recipe.reference else "-"
        height, width = recipe.input_size
        rows.append([recipe.name, f"{height}x{width}", str(recipe.network.classes), top1, recipe.title])
    print_table(["recipe", "input", "classes", "published top-1", "what it is"], rows, left=(0, 4))


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or the path of a card.")], as_json: Json = False
) -> None:
    """Print a card as it was written, after checking it."""
    from seatrial.recipes import load_recipe
    from seatrial.recipes.load import find_card

    checked = load_recipe(recipe)
    if as_json:
        print_json(checked.model_dump(mode="json", exclude_none=True))
    else:
        print(find_card(recipe).read_text(encoding="utf-8"), end="")
