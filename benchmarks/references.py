"""Model references against the libraries that describe them: preprocessing of all weights, graphs of all families.

    python benchmarks/references.py parity [--source timm,torchvision,transformers] [--only WORDS] [--folder WORK]
    python benchmarks/references.py graphs --source NAME --folder WORK --json FILE [--only WORDS]
    python benchmarks/references.py time
    python benchmarks/references.py run

`parity` resolves every pretrained reference with classes and compares its steps with the library's own transform on 8
drawn images, once for each kind of transform. `graphs` builds one architecture of each timm family (the smallest with
pretrained weights), each torchvision classifier, or each class of transformers with few layers, with weights of a rule,
exports it and compares onnxruntime and openvino with torch on 8 images, relative to the spread of the logits, and
torch in float32 with torch in float64; what stands in FILE is left out. `time` sets `recipes make` beside
`import timm`. `run` sets whole trials of timm's smallest network beside trials of the card that `recipes make` wrote of
it, one after the other, and fails where the reference costs more than 2 s more.
"""

import argparse
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import draw_weights
from PIL import Image
from transformers_folders import make_folders

from seatrial.errors import EngineError
from seatrial.evaluation.preprocessing_parity import draw_files, prove_preprocessing
from seatrial.models.build import build_network
from seatrial.models.sources.resolve import find_transform, list_references, resolve_recipe
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import dump_steps

IMAGES = 8
LIMIT = 1e-4
"""Of the spread of the logits."""
SMALLEST = "timm:test_resnet.r160_in1k"
ROUNDS = 5
MORE_S = 2.0
"""What `run` of a reference may cost above `run` of its card."""
SPREAD = 1e-2
"""Logits that lie closer prove nothing."""


def check_parity(asked: argparse.Namespace) -> int:
    """Resolve every reference and compare each kind of preprocessing once; 1 if one differs."""
    sources = asked.source.split(",")
    names = [name for source in sources for name in list_names(source, asked.folder) if asked.only in name]
    recipes, refused = {}, {}
    for name in names:
        try:
            recipes[name] = resolve_recipe(name)
        except Exception as error:
            refused[name] = str(error)
    kinds = group_by_preprocessing(recipes)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, data in draw_files(IMAGES):
            paths.append(Path(folder) / name)
            paths[-1].write_bytes(data)
        unequal, exact = {}, 0
        noted: Counter[str] = Counter()
        for members in kinds.values():
            proof = prove_preprocessing(recipes[members[0]], paths)
            if proof is None or not proof.holds:
                unequal.update(dict.fromkeys(members, "no proof" if proof is None else proof.describe()))
                continue
            exact += 0 if proof.difference.share else len(members)
            if proof.note():
                noted["columns first with this Pillow"] += len(members)
    print(f"{len(names)} references: {len(recipes)} resolve to {len(kinds)} kinds of preprocessing")
    print(f"{exact} of {len(recipes)} equal their library's to the bit on {IMAGES} drawn images")
    if len(recipes) - len(unequal) > exact:
        print(f"{len(recipes) - len(unequal) - exact} more are within one level of 255, on tensors")
    for what, count in noted.items():
        print(f"{count} {what}: the library's own transform differs from the published figures' one")
    for name, reason in {**refused, **unequal}.items():
        print(f"  {name}: {reason}")
    return 1 if refused or unequal else 0


def group_by_preprocessing(recipes: dict[str, Recipe]) -> dict[str, list[str]]:
    """References whose cards and libraries do the same."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, recipe in recipes.items():
        theirs = [repr(cell.cell_contents) for cell in getattr(find_transform(recipe), "__closure__", None) or ()]
        kinds[json.dumps([dump_steps(recipe.preprocess), theirs])].append(name)
    return kinds


def list_names(source: str, folder: Path) -> list[str]:
    """Every reference of a source that has classes; those of transformers are made in `folder`."""
    if source == "transformers":
        return [f"hf:{made}" for _, _, made in make_folders(folder) if isinstance(made, Path)]
    return [listed.reference for listed in list_references(f"{source}:*")]


def list_architectures(source: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Family and reference: the smallest of each timm module, each torchvision classifier, each transformers class."""
    if source == "transformers":
        for name, backend, made in make_folders(folder):
            if backend == ("torchvision" if "PPLCNet" in name else "pil"):  # That one has no other backend.
                yield name, f"hf:{made}" if isinstance(made, Path) else f"{name}: {made}"
        return
    if source == "torchvision":
        seen = set()
        for name in list_names(source, folder):
            model = name.partition(":")[2].partition("/")[0]
            if model not in seen:
                seen.add(model)
                yield model, f"torchvision:{model}"
        return
    from timm.models import model_entrypoint

    smallest: dict[str, tuple[float, str]] = {}
    for listed in list_references("timm:*"):
        name = listed.reference.partition(":")[2]
        family = model_entrypoint(name.partition(".")[0]).__module__.rpartition(".")[2]
        # Work grows with the area too.
        size = (listed.parameters or 30e6) * (listed.size[0] / 224) ** 2
        smallest[family] = min(smallest.get(family, (np.inf, "")), (size, listed.reference))
    for family, (_, reference) in sorted(smallest.items()):
        yield family, reference


def try_graphs(asked: argparse.Namespace) -> int:
    """Build, export and run each, in a process of its own; 1 if fewer than 95 % succeed."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    for family, reference in list_architectures(asked.source, asked.folder):
        if family in found or asked.only not in family:
            continue
        start = time.perf_counter()
        command = [sys.executable, __file__, "one", reference, "--folder", str(asked.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=asked.limit, check=False)
            lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
            errors = [line[:300] for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
            result = {"error": (errors or ["no word"])[-1]} if done.returncode else json.loads(lines[-1])
        except subprocess.TimeoutExpired:
            result = {"error": f"not done after {asked.limit} s"}
        found[family] = {"reference": reference, **result}
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{family:<28}{result} ({time.perf_counter() - start:.0f} s)", flush=True)
    good = [family for family, result in found.items() if is_good(result)]
    within = sum(map(is_within, found.values()))
    print(f"{within} of {len(found)} are within {LIMIT:g} of torch in onnxruntime and openvino")
    print(f"{len(good) - within} more are within twice what torch in float32 is from torch in float64")
    for family, result in found.items():
        if not is_within(result):
            print(f"  {family} ({result['reference']}): {result.get('error') or describe(result)}")
    return 0 if len(good) >= 0.95 * len(found) else 1


def describe(result: dict[str, Any]) -> str:
    """A row of the results in words."""
    own = f", torch's own float32 {result['float64']:.1e}" if "float64" in result else ""
    return f"onnxruntime {result['ort']:.1e}, openvino {result['ov']:.1e}, spread {result['spread']:.2g}{own}"


def is_good(result: dict[str, Any]) -> bool:
    """Whether both engines give torch's logits as far as float32 gives any, and these differ between images."""
    if "error" in result or result["spread"] <= SPREAD:
        return False
    return max(result["ort"], result["ov"]) <= max(LIMIT, 2 * result.get("float64", 0))


def is_within(result: dict[str, Any]) -> bool:
    """Whether they are within the limit whatever torch's own rounding."""
    return is_good(result) and max(result["ort"], result["ov"]) <= LIMIT


def try_one(asked: argparse.Namespace) -> int:
    """Print what came of one reference, as JSON."""
    import onnxruntime
    import openvino

    from seatrial.export.export_graph import to_onnx
    from seatrial.export.spec import OPSETS, ExportSpec

    warnings.simplefilter("ignore")
    recipe = resolve_recipe(asked.reference)
    network = build_network(recipe.network).eval()
    images = make_images(recipe)
    fill_weights(network, torch.from_numpy(images))
    with torch.inference_mode():
        own = network(torch.from_numpy(images)).numpy()
    try:
        with torch.inference_mode():
            exact = copy.deepcopy(network).double()(torch.from_numpy(images).double()).numpy()
    except RuntimeError:  # Some networks compute in float32 whatever they are.
        exact = own
    path = asked.folder / f"{os.getpid()}.onnx"
    try:
        try:
            exported = to_onnx(network, recipe, ExportSpec(opset=recipe.graph.opset), path)
        except EngineError:  # As `run` does.
            exported = to_onnx(network, recipe, ExportSpec(opset=OPSETS["dynamo"][0], exporter="dynamo"), path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (ort,) = session.run(None, {session.get_inputs()[0].name: images})
        core = openvino.Core()
        compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        ov = compiled(images)[compiled.output(0)]
    finally:
        for left in asked.folder.glob(f"{os.getpid()}.onnx*"):
            left.unlink()
    # How far an image's logits lie from their mean over the images.
    spread = float(np.abs(own - own.mean(axis=0)).max())
    others = {"ort": ort, "ov": ov, "float64": exact}
    error = {name: float(np.abs(other - own).max() / max(spread, 1e-30)) for name, other in others.items()}
    opset = next(entry.version for entry in exported.opset_import if entry.domain in ("", "ai.onnx"))
    print(json.dumps({"spread": spread, **error, "opset": opset}))
    return 0


def fill_weights(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Parameters by a rule of their names, as a zero head or an untrained scale proves nothing.

    Statistics of BatchNorm are those of the images, times 0.8 to 1.25: others would let the signal die on the way.
    """
    with torch.no_grad():
        for key, value in network.named_parameters():
            # A factor of its own that the rule took for an offset would let the signal die.
            value.copy_(draw_weights(f"{key}.weight" if key.endswith("scale") else key, value.shape))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for module in norms:
        module.momentum = 1.0
        module.train()
    with torch.inference_mode():
        if norms:
            network(images)
    generator = torch.Generator().manual_seed(0)
    for module in norms:
        module.eval()
        module.running_var *= torch.empty_like(module.running_var).uniform_(0.8, 1.25, generator=generator)


def make_images(recipe: Recipe) -> np.ndarray:
    """Normalised noise over smooth colours, (8, 3, height, width)."""
    height, width = recipe.input_size
    rng = np.random.default_rng(1)
    coarse = torch.from_numpy(rng.standard_normal((IMAGES, 3, 7, 7)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").numpy()
    return smooth + 0.3 * rng.standard_normal(smooth.shape).astype(np.float32)


def time_resolving(_: argparse.Namespace) -> int:
    """Print how long `recipes make` takes from the store and without it, beside importing timm."""
    base = [sys.executable, "-m", "seatrial", "recipes", "make", "timm:resnet50.a1_in1k"]

    def run(command: list[str], **environment: str) -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
        return time.perf_counter() - start

    rows: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as empty:
            rows["import timm"].append(run([sys.executable, "-c", "import timm"]))
            rows["recipes make, nothing stored"].append(run(base, XDG_CACHE_HOME=empty))
            rows["recipes make, stored"].append(run(base, XDG_CACHE_HOME=empty))
    print_seconds(rows)
    return 0


def time_trials(asked: argparse.Namespace) -> int:
    """Print how long a trial of a reference takes, beside one of the same card written out; 1 if far longer."""
    rows: dict[str, list[float]] = {"run REFERENCE": [], "run CARD": []}
    cpu: dict[str, list[float]] = {f"{what}, processor time": [] for what in rows}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = prepare_trial(folder)
        for number in range(ROUNDS):
            for (what, used), given in zip(zip(rows, cpu, strict=True), (SMALLEST, "card.toml"), strict=True):
                command = [sys.executable, "-m", "seatrial", "run", given, *words, f"{what.split()[1]}-{number}"]
                before, start = os.times(), time.perf_counter()
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
                rows[what].append(time.perf_counter() - start)
                after = os.times()
                cpu[used].append(sum(after[2:4]) - sum(before[2:4]))
                if done.returncode not in (0, 7):  # Random weights prove nothing.
                    raise SystemExit(done.stderr)
    print_seconds({**rows, **cpu})
    more = float(np.median(rows["run REFERENCE"]) - np.median(rows["run CARD"]))
    print(f"the reference costs {more:+.2f} s, at most {MORE_S:g} s are allowed")
    return 0 if more <= MORE_S else 1


def prepare_trial(folder: Path) -> list[str]:
    """Weights of a rule, images of noise and the card of `SMALLEST` in a folder; the words of a brief run of them."""
    from safetensors.torch import save_file

    recipe = resolve_recipe(SMALLEST)
    network = build_network(recipe.network)
    fill_weights(network, torch.from_numpy(make_images(recipe)))
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (32, 200, 240, 3), dtype=np.uint8)
    for label, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / "images" / f"{label}.png")
    (folder / "labels.txt").write_text("".join(f"{label}.png {label}\n" for label in range(len(noise))))
    make = [sys.executable, "-m", "seatrial", "recipes", "make", SMALLEST, "--output", folder / "card.toml"]
    subprocess.run(make, check=True, capture_output=True)
    words = ["--checkpoint", "weights.safetensors", "--images", "images", "--labels", "labels.txt"]
    return [*words, "--engines", "onnxruntime", "--batch-size", "1", "--bench-duration", "0.1", "--output"]


def print_seconds(rows: dict[str, list[float]]) -> None:
    """The median of each, and every one."""
    for what, seconds in rows.items():
        print(f"{what:<30}{np.median(seconds):6.2f} s ({' '.join(f'{each:.2f}' for each in seconds)})")


def main() -> int:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["parity", "graphs", "one", "time", "run"])
    parser.add_argument("reference", nargs="?")
    parser.add_argument("--source", default="timm,torchvision")
    parser.add_argument("--only", default="")
    parser.add_argument("--folder", type=Path, default=Path("references-work"))
    parser.add_argument("--json", type=Path, default=Path("references.json"))
    parser.add_argument("--limit", type=float, default=300, help="seconds for one architecture")
    asked = parser.parse_args()
    parts = {"parity": check_parity, "graphs": try_graphs, "one": try_one, "time": time_resolving, "run": time_trials}
    return parts[asked.part](asked)


if __name__ == "__main__":
    sys.exit(main())
