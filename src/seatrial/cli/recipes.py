"""`seatrial recipes`."""

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_table, show_progress
from seatrial.cli.output.tables import Layout

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
    recipe: Annotated[str, typer.Argument(help="A recipe's name or the path of a card.")],
    preset: Annotated[
        str | None, typer.Option(help="Print the training settings with this preset instead of the card.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a card as it was written, after checking it."""
    from seatrial.recipes import load_recipe
    from seatrial.recipes.load import find_card

    checked = load_recipe(recipe)
    if preset is None:
        if as_json:
            print_json(checked.model_dump(mode="json", exclude_none=True))
        else:
            print(find_card(recipe).read_text(encoding="utf-8"), end="")
        return
    settings, changes = checked.train.model_dump(mode="json"), checked.find_preset(preset)
    if as_json:
        print_json({**settings, **changes})
        return
    of_card = checked.train.model_fields_set
    sources = ("preset" if name in changes else "card" if name in of_card else "default" for name in settings)
    values = ("none" if v is None else str(v) for v in {**settings, **changes}.values())
    print_table(
        ["setting", "value", "from"], list(map(list, zip(settings, values, sources, strict=True))), left=(0, 1, 2)
    )


@app.command()
def claims(
    recipe: Annotated[str | None, typer.Argument(help="One recipe; default: all that come with seatrial.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List the right figures too.")] = False,
    as_json: Json = False,
) -> None:
    """Recompute every ratio, total and best batch of the guides; list those that are wrong, with the right figure."""
    from seatrial.recipes import list_cards, load_recipe
    from seatrial.recipes.claims import check_claims

    claims = [claim for name in ([recipe] if recipe else list_cards()) for claim in check_claims(load_recipe(name))]
    if recipe and not claims and not as_json:
        print(f"{recipe} has no published figures or guide to check")
        return
    shown = [claim for claim in claims if everything or not claim.holds]
    if as_json:
        fields = ("recipe", "what", "stated", "correct", "kind", "holds", "note")
        print_json({"claims": [{name: getattr(claim, name) for name in fields} for claim in shown]})
        return
    for number, claim in enumerate(shown, start=1):
        print(f"{number:>3}  {claim.recipe} [{claim.kind}{', holds' if claim.holds else ''}] {claim.what}")
        print(f"     stated {claim.stated}; right: {claim.correct}" + (f" ({claim.note})" if claim.note else ""))
    computed = [claim for claim in claims if claim.recomputed]
    print(f"{sum(claim.holds for claim in computed)} of {len(computed)} recomputed figures are right")


@app.command()
def tables(
    recipe: Annotated[str | None, typer.Argument(help="One recipe; default: all that come with seatrial.")] = None,
    layout: Annotated[
        Layout, typer.Option("--format", help="guide: the corrected table in the guide's own layout, per card.")
    ] = Layout.TABLE,
    as_json: Json = False,
) -> None:
    """Rebuild the guides' speed tables from their raw figures, beside the printed ones; wrong ones are marked."""
    from seatrial.cli.output.guides import list_guide, write_guide
    from seatrial.cli.output.training import list_training_guide, write_training_guide
    from seatrial.recipes import list_cards, load_recipe
    from seatrial.recipes.claims import rebuild_table

    recipes = [load_recipe(name) for name in ([recipe] if recipe else list_cards())]
    rebuilt = [table for table in map(rebuild_table, recipes) if table is not None]
    trained = [(card, card.guide) for card in recipes if card.guide is not None and card.guide.training]
    if as_json:
        print_json(
            {"tables": [*map(list_guide, rebuilt)], "training": [list_training_guide(*each) for each in trained]}
        )
    elif recipe and not rebuilt and not trained:
        print(f"{recipe} has no guide that prints ratios or training results")
    else:
        written = [write_guide(table, layout) for table in rebuilt]
        print("\n\n".join([*written, *(write_training_guide(*each, layout) for each in trained)]))


@app.command()
def fetch(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or the path of a card.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the file.")] = Path(),
) -> None:
    """Download a card's weights and check them; a download that was cut off resumes."""
    from seatrial.models.fetch import fetch_weights
    from seatrial.recipes import load_recipe

    with show_progress() as progress:
        print(fetch_weights(load_recipe(recipe), output, progress))
