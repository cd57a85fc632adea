"""`seatrial package`: what passed, ready to use: engine, card, class names, `predict.py`, kit, verdict and report."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.compare.verdict import reach_verdict
from seatrial.data.preprocessing import tensor_resize
from seatrial.engines import get_engine
from seatrial.engines.base import MANIFEST as ENGINE_MANIFEST
from seatrial.engines.base import EngineFile, list_files, read_engine
from seatrial.engines.runtime import Packable, Runtime
from seatrial.errors import EngineError, ParityError, UsageError
from seatrial.foreign.files import read_bytes
from seatrial.machine.environment import find_version, name_machine
from seatrial.metrics.noise_floor import find_same_floor
from seatrial.printable import make_name
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.class_names import read_names
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import pixel_steps
from seatrial.results.run import VERDICT, Run
from seatrial.results.run_folder import read_run
from seatrial.store.files import hash_content, hash_file, make_folder, replacing, write_text
from seatrial.store.package import MANIFEST, PackageManifest, PackageSettings
from seatrial.store.predictions import Predictions
from seatrial.store.records import Verdict
from seatrial.strict import check_name
from seatrial.workflow.bundle import predict, prepare
from seatrial.workflow.bundle.kit import write_kit
from seatrial.workflow.bundle.readme import write_readme
from seatrial.workflow.bundle.servers import FOLDER, SERVERS, check_server

BESIDE = ("card.toml", VERDICT, "report.html", "report.md")
"""Files of a run that a package has too, where they are there; of a run that is not judged only the card."""
IMAGES = 16
"""Of the run, whose predictions `predict.py` must repeat."""
SELF_TEST = '#!/bin/sh\nexec "${PYTHON:-python3}" "$(dirname "$0")/predict.py" --selftest "$@"\n'
ALWAYS = ("numpy", "pillow")


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """What to package, and where."""

    run: Path
    engine: str
    """Its name in the run."""
    output: Path
    unproven: bool = False
    """Also where it did not pass."""
    form: str = FOLDER
    """Or the server whose model repository is put into it: see `bundle.servers`."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """What became of it."""

    verdict: Verdict
    """Of the engine: the gates that judge it."""
    manifest: PackageManifest | None
    """None where it is refused, as the engine did not pass."""


def package_engine(spec: PackageSpec, progress: Progress = silent) -> Packaged:
    """Write the folder `spec.output`, whole or not at all, and try it before it is there.

    Raises:
        UsageError: no run, no such engine in it, no such format, or `output` has other files.
        RefusedFile: a record or an engine file was altered.
        EngineError: the engine opens only with seatrial, not on this machine, or not as it was measured in the server.
        ParityError: `predict.py` does not give what the engine gave.
    """
    run = read_run(spec.run)
    check_name(spec.engine, run.engines, f"the run has no engine '{spec.engine}'")
    verdict = judge_engine(run, spec.engine)
    if verdict.outcome != "PASS" and not spec.unproven:
        return Packaged(verdict, None)
    _check_output(spec.output)
    if spec.engine not in run.built or spec.engine not in run.predictions:
        raise UsageError(f"{spec.run} has no predictions of {spec.engine}", "finish the run: repeat its command")
    file = read_engine(spec.run / "engines" / spec.engine)
    check_server(spec.form, file.manifest.engine)
    runtime = find_runtime(file)
    with replacing(spec.output) as folder:
        make_folder(folder)
        if spec.form in SERVERS:
            most = run.accuracy[spec.engine].batch_size
            SERVERS[spec.form][1](folder, run.recipe.name, file, runtime.settings, most)
        manifest = _fill(folder, run, file, runtime, verdict)
        _try(folder, run, spec.engine, manifest)
        progress(Update("package", note=f"predict.py repeats {manifest.images_compared} predictions of the run"))
    return Packaged(verdict, manifest)


def judge_engine(run: Run, name: str) -> Verdict:
    """The verdict of one engine: the run's where that is PASS, else of the gates that are not another engine's.

    Gates of the reference, and of speeds, which no single engine has, are every engine's.
    """
    if run.verdict is None:
        return reach_verdict(run.recipe.name, ())
    if run.verdict.outcome == "PASS":
        return run.verdict
    others = {*run.engines} - {name, run.reference}
    return reach_verdict(run.recipe.name, [gate for gate in run.verdict.gates if gate.engine not in others])


def describe_open(verdict: Verdict) -> tuple[str, ...]:
    """Why an engine did not pass, gate by gate."""
    found = [f"{gate.gate} {gate.outcome} ({gate.reason})" for gate in verdict.gates if gate.outcome != "PASS"]
    return tuple(found) or ("the run has no verdict that judges it: repeat its command",)


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder", "choose another --output")
    if output.exists() and any(output.iterdir()) and not PackageManifest.stands_at(output / MANIFEST):
        raise UsageError(f"{output} has other files than a package's", "choose another --output")


def find_runtime(file: EngineFile) -> Runtime:
    """How the engine opens where there is no seatrial.

    Raises:
        EngineError: it does not, or its graph has a preprocessing that `predict.py` lacks; names it.
    """
    name, graph = file.manifest.engine, file.manifest.graph
    engine = get_engine(name)
    if not isinstance(engine, Packable) or not _find_opener(name).is_file():
        raise EngineError(
            f"a package of {name} is not written: nothing but seatrial opens its files, and none has met the hardware",
            "package another engine of the run, or use the engine folder with `seatrial infer`",
        )
    if graph.aipp is not None:
        raise EngineError("the graph has an AIPP configuration, which predict.py does not feed", "export it without")
    steps = pixel_steps(Recipe.read(graph.recipe, "the graph's manifest").preprocess)
    missing = [step.step for step in steps if step.step not in prepare.STEPS]
    if missing:
        raise EngineError(f"a package lacks the step '{missing[0]}' of the card", "use `seatrial infer`")
    return engine.describe_runtime(file)


def _find_opener(engine: str) -> Path:
    """The file that opens an engine's files without seatrial."""
    return Path(predict.__file__).with_name(f"open_{engine}.py")


def _fill(folder: Path, run: Run, file: EngineFile, runtime: Runtime, verdict: Verdict) -> PackageManifest:
    """Write all files; `manifest.json` last, with the sha256 of the others."""
    for path in (predict.__file__, prepare.__file__):
        shutil.copyfile(path, folder / Path(path).name)
    shutil.copyfile(_find_opener(file.manifest.engine), folder / "open_engine.py")
    steps = pixel_steps(run.recipe.preprocess)
    if any(getattr(step, "backend", "pillow") == "tensor" for step in steps):
        shutil.copyfile(tensor_resize.__file__, folder / "tensor_resize.py")
    for name in (ENGINE_MANIFEST, *list_files(file.manifest)):
        make_folder((folder / "engine" / name).parent)
        shutil.copyfile(file.folder / name, folder / "engine" / name)
    # A verdict of other inputs proves nothing, and neither does a report with it.
    for name in BESIDE if run.verdict is not None else BESIDE[:1]:
        if (run.folder / name).is_file():
            shutil.copyfile(run.folder / name, folder / name)
    names = read_names(run.recipe)
    if names is not None:
        write_text(folder / "classes.txt", "".join(f"{make_name(name)}\n" for name in names))
    write_text(folder / "selftest", SELF_TEST)
    (folder / "selftest").chmod(0o755)
    kit = write_kit(folder / "kit", file)
    manifest = _describe(run, file, runtime, verdict, kit)
    write_text(folder / "requirements.txt", _write_requirements(manifest))
    manifest = manifest.model_copy(update={"files": _hash_files(folder)})
    gates = [gate for gate in verdict.gates if gate.engine in (manifest.name, run.reference, "")]
    write_text(folder / "README.md", write_readme(manifest, run, tuple(gates)))
    manifest = manifest.model_copy(update={"files": _hash_files(folder)})
    manifest.save(folder / MANIFEST)
    return manifest


def _describe(run: Run, file: EngineFile, runtime: Runtime, verdict: Verdict, kit: tuple[str, ...]) -> PackageManifest:
    name, built = file.folder.name, file.manifest
    environment = run.accuracy[name].environment
    versions = {
        each: environment.versions.get(each) or find_version(each) for each in (*ALWAYS, *runtime.distributions)
    }
    model = file.find(1)
    mean, std = run.recipe.normalisation
    settings = PackageSettings(
        file=model.path,
        batch_size=model.batch_size,
        input=built.input,
        output=built.output.name,
        steps=tuple(step.model_dump(mode="json", exclude_none=True) for step in pixel_steps(run.recipe.preprocess)),
        mean=mean,
        std=std,
        probabilities=run.predictions[name].of_probabilities,
        limit=find_same_floor(built.precision, built.executed),
        runtime=dict(runtime.settings),
    )
    return PackageManifest(
        recipe=run.recipe.name,
        name=name,
        engine=built.engine,
        device=built.device,
        precision=built.precision,
        executed=built.executed,
        outcome=verdict.outcome,
        unproven=() if verdict.outcome == "PASS" else describe_open(verdict),
        run=run.manifest.identity,
        images_compared=len(_choose_images(run, name)),
        python=environment.python,
        versions={each: version for each, version in versions.items() if version is not None},
        machine=name_machine(environment),
        settings=settings,
        kit=kit,
        files={},
    )


def _write_requirements(manifest: PackageManifest) -> str:
    """The versions that were measured; what marks a build of its own (`+cpu`) is no part of a release's name."""
    lines = []
    for name, version in manifest.versions.items():
        release, _, build = version.partition("+")
        lines.append(f"{name}=={release}" + (f"  # {version} was measured" if build else ""))
    return "\n".join([f"# Python {manifest.python}", *lines]) + "\n"


def _hash_files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def _choose_images(run: Run, name: str) -> dict[int, Path]:
    """Some images of the run that are still what they were, by their row in the engine's predictions."""
    predictions = run.predictions[name]
    if predictions.contents is None or predictions.of_prepared or not run.manifest.images:
        return {}
    folder = Path(run.manifest.images)
    step = max(1, len(predictions.ids) // IMAGES)
    return dict(_find_images(folder, predictions, range(0, len(predictions.ids), step)[:IMAGES]))


def _find_images(folder: Path, predictions: Predictions, rows: Sequence[int]) -> Iterator[tuple[int, Path]]:
    assert predictions.contents is not None
    for row in rows:
        path = folder / predictions.ids[row]
        if path.is_file() and hash_content(read_bytes(path)) == int(predictions.contents[row]):
            yield row, path


def _try(folder: Path, run: Run, name: str, manifest: PackageManifest) -> None:
    """Run the package's self-test, and its predictions beside the run's.

    Raises:
        ParityError: they differ.
    """
    fix = "report this; `seatrial infer` runs the engine folder"
    package = predict.Package(folder)
    try:
        found = package.test()
        if not found["passed"]:
            raise ParityError(f"predict.py does not give what {name} gives: {predict.describe_test(found)}", fix)
        images, predictions = _choose_images(run, name), run.predictions[name]
        for row, path in images.items():
            given, kept = package.score(package.prepare(path))[predictions.classes[row]], predictions.scores[row]
            apart = float(np.linalg.norm(given - kept) / (np.linalg.norm(kept) or 1))
            if not apart <= manifest.settings.limit:
                text = f"predict.py gives other scores for {path} than the run has of {name}: off by {apart:.1e}"
                raise ParityError(text, fix)
    except predict.Failure as failure:
        raise ParityError(f"predict.py fails on what it was packaged for: {failure}", fix) from None
