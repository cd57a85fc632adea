"""The guides' preprocessing scripts, and the lists that they make of a folder."""

from dataclasses import replace

from seatrial.cli.compat.call import Call, Flag, Plan, Tool, read_places
from seatrial.cli.compat.recipes import find_recipe
from seatrial.errors import UsageError
from seatrial.strict import suggest

FOLDERS = (Flag(("s",), means="the folder of images"), Flag(("d",), means="the folder of the .bin files"))
SOURCE = (
    *("s", "src", "src_path", "source", "source_path", "data", "data_path", "data_dir", "data_root", "dataset_path"),
    *("dataset_root", "image_path", "img_path", "image_folder", "input_path", "input_dir", "input_img_dir"),
)
TARGET = (
    *("d", "dst", "des", "dest", "save_path", "save_dir", "savepath", "data_save_path", "store_path", "bin_path"),
    *("prep_image", "prep_dataset", "out_dir", "output_path", "output_dir", "output_img_dir"),
)
"""How other guides' scripts call the two."""
OTHERS = (
    Flag(SOURCE, means="the folder of images"),
    Flag(TARGET, means="the folder of the .bin files"),
    Flag(("image_size", "img_size"), means="must be the recipe's"),
    Flag(
        ("batch_size", "batchsize", "bs"), dropped="there is one .bin file for each image, and batches are made of them"
    ),
    Flag(("label_path", "gt_path"), dropped="give the labels to the script that scores"),
    Flag(("cfg", "config", "model_name"), dropped="the recipe says which network it is"),
)
MAIN = "resnet"
"""The scripts' name for the preprocessing of ResNet and its kin: the card's main one, where it has no mode for it."""
PIXELS_FOR_AIPP = "aipp"
"""The card's mode for what imagenet_torch_preprocess.py writes: pixels that AIPP crops and normalises."""
INFO_USAGE = "bin DIR INFO WIDTH HEIGHT, or jpg DIR INFO"


def plan_preprocess(call: Call) -> Plan:
    """`-s SRC -d DST`, `SRC DST` or `MODE SRC DST`.

    Raises:
        UsageError: the form is another one, or the card has no such mode.
    """
    words = read_places(call, ("s", "d"), call.arguments)
    if len(words) not in (2, 3):
        raise UsageError(f"{call.name} needs a folder of images and one for its files", f"its form: {call.tool.usage}")
    if call.tool is UINT8 and len(words) == 2:
        # Scripts of that name without a MODE are of other guides.
        call = replace(call, tool=replace(call.tool, recipe=None))
    recipe, reason = find_recipe(call, notes=False)
    _check_size(call, recipe)
    *mode, source, target = words
    chosen = _choose_mode(call, recipe, mode[0]) if mode else ()
    return Plan((("preprocess", recipe, source, target, *chosen),), (f"recipe {recipe}, by {reason}",))


def plan_info(call: Call) -> Plan:
    """`bin DIR INFO WIDTH HEIGHT` or `jpg DIR INFO`.

    Raises:
        UsageError: the form is another one.
    """
    kind, folder, output, *size = call.arguments
    if (kind, len(size)) not in (("bin", 2), ("jpg", 0)):
        given = " ".join(call.arguments)
        raise UsageError(f"{call.name} takes {INFO_USAGE}, not '{given}'", "give it one of these forms")
    options = ("--width", size[0], "--height", size[1]) if size else ()
    return Plan((("data", "info", folder, "--output", output, *options),))


def _choose_mode(call: Call, recipe: str, mode: str) -> tuple[str, ...]:
    """Our option for a script's MODE."""
    from seatrial.models.sources import resolve_recipe

    card = resolve_recipe(recipe)
    modes = card.modes
    wanted = PIXELS_FOR_AIPP if mode == MAIN and call.tool is UINT8 else mode
    if wanted in modes:
        return ("--mode", wanted)
    if mode == MAIN or _simplify(mode) in _simplify(card.network.name):
        return ()
    raise UsageError(f"{recipe} has no mode '{mode}' for {call.name}", suggest(mode, [MAIN, *modes]))


def _simplify(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower())) or name


def _check_size(call: Call, recipe: str) -> None:
    """Refuse a size of images that is not the recipe's."""
    given = call.values.get("image_size")
    if given is None:
        return
    from seatrial.models.sources import resolve_recipe

    height, width = resolve_recipe(recipe).input_size
    if given not in (str(height), f"{height},{width}") or (given.isdecimal() and height != width):
        card = f"`seatrial recipes make {recipe} --image-size {given} --output card.toml` and give --recipe card.toml"
        raise UsageError(f"{call.name}: --image_size {given} is not the {height}×{width} of {recipe}", card)


def _name_script(name: str, usage: str, recipe: str | None, *more: str) -> Tool:
    flags, words = (FOLDERS, ()) if usage.startswith("-s") else ((), (usage.count(" ") + 1,))
    return Tool((name, *more), usage, "preprocess", plan_preprocess, flags, words or (0,), recipe)


UINT8 = _name_script("imagenet_torch_preprocess.py", "MODE SRC DST", "resnet50")
UINT8 = replace(UINT8, flags=OTHERS, arguments=(0, 2, 3), abbreviates=True)
"""The one script whose mode `resnet` leaves normalising, and its crop, to AIPP."""
TOOLS = (
    Tool(("get_info.py", "gen_dataset_info.py"), INFO_USAGE, "data info", plan_info, arguments=(3, 5)),
    UINT8,
    _name_script("sknet_preprocess.py", "-s SRC -d DST", "sk_resnet50"),
    _name_script("preprocess_spnasnet_100_pytorch.py", "SRC DST", "spnasnet_100"),
    _name_script("Se_Resnext101_preprocess.py", "MODE SRC DST", "seresnext101_32x4d"),
    _name_script("preprocess_resnext50_pth.py", "SRC DST", "resnext50_32x4d"),
    Tool(
        ("ResNeXt_preprocess.py",),
        "SRC DST",
        "it writes uint8 of 224×224, and no card has such a mode: give `seatrial preprocess` a card that has",
        None,
    ),
    Tool(
        ("*_preprocess.py", "preprocess_*.py", "preprocess.py"),
        "-s SRC -d DST, SRC DST or MODE SRC DST",
        "preprocess",
        plan_preprocess,
        OTHERS,
        (0, 2, 3),
        abbreviates=True,
    ),
)
