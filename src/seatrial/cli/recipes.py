"""`seatrial recipes`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.options import Classes, ImageSize, Json, Like, Reference
from seatrial.cli.output.progress import (
    print_file,
    print_json,
    print_lines,
    print_table,
    print_text,
    show_progress,
    shows_progress,
)
from seatrial.cli.output.tables import Layout
from seatrial.errors import ExitCode, UsageError

app = typer.Typer(help="List the recipes and model references, show or make a card.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def list_recipes(context: typer.Context, as_json: Json = False) -> None:
    """List the recipes that come with seatrial; see its commands for any other model."""
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


@app.command("list")
@shows_progress
def list_models(
    pattern: Annotated[
        str | None, typer.Argument(help="Shell pattern of model references, such as 'timm:convnext*'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List model references with image size, classes, parameters, published top-1 and licence."""
    from seatrial.models.sources.resolve import list_references

    if pattern is None:
        raise UsageError(
            "`seatrial recipes list` takes a pattern of model references",
            "give one such as 'timm:resnet50*', 'torchvision:*' or 'hf:./folder'; `seatrial recipes` lists the cards",
        )
    found = list_references(pattern)
    if as_json:
        print_json([asdict(listed) for listed in found])
        return
    rows = [
        [
            listed.reference,
            f"{listed.size[0]}x{listed.size[1]}",
            str(listed.classes),
            f"{listed.parameters / 1e6:,.1f} M" if listed.parameters else "-",
            f"{listed.top1:.2%}" if listed.top1 is not None else "-",
            listed.licence or "-",
        ]
        for listed in found
    ]
    print_table(["reference", "input", "classes", "parameters", "published top-1", "licence"], rows, left=(0, 5))


@app.command()
@shows_progress
def make(
    recipe: Reference,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the card to this file; default: print it.")
    ] = None,
    image_size: ImageSize = None,
    classes: Classes = None,
    like: Like = None,
) -> None:
    """Make the complete card that a model reference leads to; each value says where it comes from."""
    from seatrial.models.sources import resolve_card
    from seatrial.store.files import write_text

    text = resolve_card(recipe, image_size, like, classes).text
    if output is None:
        print_file(text)
        return
    if output.exists():
        raise UsageError(f"{output} is there already", "choose another --output, or remove it")
    write_text(output, text)
    print_lines(output)


@app.command()
def show(
    recipe: Reference,
    preset: Annotated[
        str | None, typer.Option(help="Print the training settings with this preset instead of the card.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a card, complete with what it takes from its base, after checking it."""
    from seatrial.compare.gate_expression import read_gate
    from seatrial.models.sources import resolve_card

    card = resolve_card(recipe)
    for text in (*card.recipe.gates.speed, *card.recipe.gates.require):
        read_gate(text)  # An unreadable gate is an error, as for `run`.
    if preset is None:
        if as_json:
            print_json(card.recipe.model_dump(mode="json", exclude_none=True))
        else:
            print_file(card.text)
        return
    settings, changes = card.recipe.train.model_dump(mode="json"), card.recipe.find_preset(preset)
    if as_json:
        print_json({**settings, **changes})
        return
    of_card = card.recipe.train.model_fields_set
    sources = ("preset" if name in changes else "card" if name in of_card else "default" for name in settings)
    values = ("none" if v is None else str(v) for v in {**settings, **changes}.values())
    print_table(
        ["setting", "value", "from"], list(map(list, zip(settings, values, sources, strict=True))), left=(0, 1, 2)
    )


@app.command()
@shows_progress
def check(
    recipe: Reference,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of images; default: drawn ones of odd sizes and modes.")
    ] = None,
    image_size: ImageSize = None,
    like: Like = None,
    as_json: Json = False,
) -> int:
    """Compare a card's preprocessing with that of the library that describes the model; exit code 3 if they differ."""
    from seatrial.data.labels import list_images, spread
    from seatrial.evaluation.preprocessing_parity import IMAGES, prove_preprocessing
    from seatrial.models.sources import resolve_recipe

    card = resolve_recipe(recipe, image_size, like)
    proof = prove_preprocessing(card, spread(list_images(images), IMAGES) if images else ())
    if proof is None:
        raise UsageError(
            f"{recipe} is a card that no library describes, so there is nothing to compare it with",
            "give a reference such as timm:resnet50, or a card with base = REF that keeps its preprocessing",
        )
    if as_json:
        print_json(proof.model_dump(mode="json", by_alias=True))
    else:
        print_lines(*filter(None, (proof.describe(), proof.note())))
    return ExitCode.PASS if proof.holds else ExitCode.ACCURACY


@app.command()
def claims(
    recipe: Annotated[
        str | None,
        typer.Argument(help="One recipe, a guide's README.md, or its folder; default: all that come with seatrial."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="List the right figures too.")] = False,
    as_json: Json = False,
) -> None:
    """Recompute every ratio, total and best batch of the guides; list those that are wrong, with the right figure.

    Of a guide's folder also what its README, scripts and AIPP file contradict each other in.
    """
    from seatrial.guides import check_folder
    from seatrial.models.sources import resolve_recipe
    from seatrial.recipes import list_cards
    from seatrial.recipes.claims import check_claims
    from seatrial.recipes.guide_text import SUFFIXES, check_guide_file

    if recipe and Path(recipe).is_dir():
        claims = [*check_folder(Path(recipe))]
    elif recipe and recipe.lower().endswith(SUFFIXES):
        claims = [*check_guide_file(Path(recipe))]
    else:
        names = [recipe] if recipe else list_cards()
        claims = [claim for name in names for claim in check_claims(resolve_recipe(name))]
    if recipe and not claims and not as_json:
        print_lines(f"{recipe} has no published figures or guide to check")
        return
    shown = [claim for claim in claims if everything or not claim.holds]
    if as_json:
        fields = ("recipe", "what", "stated", "correct", "kind", "holds", "note")
        print_json({"claims": [{name: getattr(claim, name) for name in fields} for claim in shown]})
        return
    for number, claim in enumerate(shown, start=1):
        print_lines(f"{number:>3}  {claim.recipe} [{claim.kind}{', holds' if claim.holds else ''}] {claim.what}")
        print_lines(f"     stated {claim.stated}; right: {claim.correct}" + (f" ({claim.note})" if claim.note else ""))
    computed = [claim for claim in claims if claim.recomputed]
    print_lines(f"{sum(claim.holds for claim in computed)} of {len(computed)} recomputed figures are right")


@app.command("import-guide")
def import_guide(
    folder: Annotated[Path, typer.Argument(help="A guide's folder: README.md, scripts and AIPP file.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="Write the card to this file; default: print it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft a card from a guide's folder, read as text and never run; each figure says its file and line."""
    from seatrial.guides import draft_card
    from seatrial.store.files import write_text

    if output is not None and output.exists():
        raise UsageError(f"{output} is there already", "choose another --output, or remove it")
    drafted = draft_card(folder)
    if output is not None:
        write_text(output, drafted.text)
    if as_json:
        wrong = [{"what": each.what, "stated": each.stated, "right": each.correct} for each in drafted.contradictions]
        print_json(
            {
                "card": drafted.text,
                "reference": drafted.reference,
                "proposed": drafted.proposed,
                "preprocessing_complete": drafted.complete,
                "not_found": list(drafted.missing),
                "contradictions": wrong,
            }
        )
    else:
        print_lines(output) if output is not None else print_file(drafted.text)


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
    from seatrial.models.sources import resolve_recipe
    from seatrial.recipes import list_cards
    from seatrial.recipes.claims import rebuild_table

    recipes = [resolve_recipe(name) for name in ([recipe] if recipe else list_cards())]
    rebuilt = [table for table in map(rebuild_table, recipes) if table is not None]
    trained = [(card, card.guide) for card in recipes if card.guide is not None and card.guide.training]
    if as_json:
        print_json(
            {"tables": [*map(list_guide, rebuilt)], "training": [list_training_guide(*each) for each in trained]}
        )
    elif recipe and not rebuilt and not trained:
        print_lines(f"{recipe} has no guide that prints ratios or training results")
    else:
        written = [write_guide(table, layout) for table in rebuilt]
        print_text("\n\n".join([*written, *(write_training_guide(*each, layout) for each in trained)]))


@app.command()
@shows_progress
def fetch(
    recipe: Reference,
    output: Annotated[
        Path | None, typer.Option("--output", help="Folder for the file; default: where `run` looks for weights.")
    ] = None,
) -> None:
    """Download a card's weights and check them; a download that was cut off resumes."""
    from seatrial.models.find_weights import fetch_published
    from seatrial.models.sources import resolve_recipe
    from seatrial.models.sources.huggingface import fetch_description

    with show_progress() as progress:
        fetch_description(recipe)
        fetched = fetch_published(resolve_recipe(recipe), progress, output)
    print_lines(fetched)


@app.command()
def schema(
    name: Annotated[
        str, typer.Argument(help="card, or a record such as accuracy, measurement, verdict or run.")
    ] = "card",
) -> None:
    """Print the JSON Schema of a card or of a stored record."""
    from seatrial.workflow.schemas import make_schema

    print_json(make_schema(name))
