"""The README of a package, one page."""

from collections.abc import Mapping

from seatrial.printable import make_printable
from seatrial.results.run import Run
from seatrial.store.package import PackageManifest
from seatrial.store.records import GateResult

TEXT = """\
# {title}: {engine} {precision} on {device}

{outcome}

```
pip install -r requirements.txt
python predict.py --selftest
python predict.py image.jpg more.png --top 5
python predict.py image.jpg --json
```

`predict.py` needs Python, NumPy, Pillow and {needs}, nothing else. What it does to an image is what was measured:
{steps}. Images are taken as they lie in the file: a note on orientation (EXIF) is ignored.

`predict.py --selftest` (or `./selftest`) runs the {pictures} pictures of `kit` and compares pixels, scores and first
classes with those of the machine that was measured; exit code 0 where nothing moved further than rounding explains, 3
where it did. Files that were altered are refused with exit code 8.

| file | what it is |
|---|---|
{files}

Measured on {machine}, Python {python}: {versions}.
{compared}

{gates}
"""
FILES = {
    "predict.py": "the program; `prepare.py` reads images for it and `open_engine.py` opens the engine",
    "engine/": "the engine folder of the run",
    "card.toml": "what the model is: network, preprocessing, gates",
    "classes.txt": "names of the classes, one a line, the first is class 0",
    "kit/": "drawn pictures, and what is expected for them",
    "verdict.json": "the verdict of the run and what it was judged from",
    "report.html": "the report of the run, and as text in report.md",
    "models/": "the engine as a model repository, **which has not met a server**: it takes what `prepare.py` makes",
    "config.json": "of OpenVINO Model Server, for that repository",
    "requirements.txt": "versions that were measured",
    "manifest.json": "settings of predict.py, and the sha256 of every file",
}


def write_readme(manifest: PackageManifest, run: Run, gates: tuple[GateResult, ...]) -> str:
    """The page; `gates` are those that judge the engine."""
    facts: Mapping[str, object] = {
        "title": make_printable(run.recipe.title),
        "engine": manifest.engine,
        "precision": manifest.precision,
        "device": manifest.device,
        "outcome": _describe_outcome(manifest),
        "needs": ", ".join(name for name in manifest.versions if name not in ("numpy", "pillow")),
        "steps": "; ".join(step.describe() for step in run.recipe.preprocess),
        "pictures": len(manifest.kit),
        "files": "\n".join(f"| `{name}` | {what} |" for name, what in FILES.items() if _is_there(manifest, name)),
        "machine": make_printable(manifest.machine),
        "python": manifest.python,
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.versions.items()),
        "compared": _describe_compared(manifest.images_compared),
        "gates": "\n".join(f"- {gate.gate}: {gate.outcome}. {make_printable(gate.reason)}" for gate in gates),
    }
    return TEXT.format(**facts).rstrip() + "\n"


def _describe_outcome(manifest: PackageManifest) -> str:
    if manifest.unproven:
        reasons = "; ".join(map(make_printable, manifest.unproven))
        return f"**Unproven: {manifest.outcome}.** This engine did not pass its trial: {reasons}."
    return "PASS: this engine passed its trial (`verdict.json`, `report.html`)."


def _describe_compared(images: int) -> str:
    if not images:
        return "No image of the run was at hand when it was packaged: `predict.py` was tried on `kit` alone."
    return f"When it was packaged, `predict.py` repeated the run's predictions on {images} of its images."


def _is_there(manifest: PackageManifest, name: str) -> bool:
    return name == "manifest.json" or any(path.startswith(name) for path in manifest.files)
