"""What the model is, what it takes and gives, and what it ran on."""

import re
from collections.abc import Iterator, Mapping, Sequence

from seatrial.report.formats import escape, fence, write_markdown_list
from seatrial.report.forms.doubts import list_doubts
from seatrial.report.forms.guide.blocks import NOTHING, tabulate
from seatrial.report.language import retell, say
from seatrial.report.numbers import write_count, write_size
from seatrial.results.run_folder import Run
from seatrial.store.measurement import Environment
from seatrial.store.records import TensorSpec

_COMMITTED = re.compile(
    r"(?P<url>https://[^/]+/[^/]+/[^/]+)/(?:blob|tree)/(?P<commit>[0-9a-f]{40})(?:/(?P<path>\S+))?$"
)


def write_overview(run: Run) -> list[str]:
    """The network, and where it is defined."""
    network, weights = run.recipe.network, run.checkpoint
    counted = weights.parameters if weights else network.parameters
    what = say("Network {network} with {classes} classes.", network=network.name, classes=write_count(network.classes))
    size = say("It has {parameters} parameters.", parameters=write_count(counted)) if counted else ""
    facts = {**_split_source(run.recipe.source), "model_name": network.name, "model_reference": run.recipe.origin}
    facts["paper"] = run.recipe.paper
    lines = "\n".join(f"{name}={value}" for name, value in facts.items() if value)
    outcome = say("Verdict: {outcome}.", outcome=run.verdict.outcome if run.verdict else say("not judged"))
    return [
        escape(retell(f"{what} {size}".strip())),
        f"**{escape(outcome)}**",
        f"- {say('Reference implementation:')}",
        fence(lines),
    ]


def _split_source(source: str | None) -> dict[str, str | None]:
    """The address of the source as the guides take it apart, where it names a commit."""
    found = _COMMITTED.match(source or "")
    if found is None:
        return {"url": source}
    return {"url": found["url"], "commit_id": found["commit"], "code_path": found["path"]}


def write_tensors(run: Run) -> list[str]:
    """The tables of inputs and outputs, of the graph and of engines that take others."""
    specs = {"": run.graph} | dict(run.built)
    inputs = _name_specs({name: spec.input for name, spec in specs.items() if spec})
    outputs = _name_specs({name: spec.output for name, spec in specs.items() if spec})
    if not inputs:
        return [say("No graph was made.")]
    header = [say("Data type"), say("Size"), say("Layout")]
    return [
        f"- {say('Input data')}",
        tabulate([say("Input data"), *header], [_list_input(*named) for named in inputs.items()]),
        f"- {say('Output data')}",
        tabulate([say("Output data"), *header], [_list_output(*named) for named in outputs.items()]),
    ]


def _name_specs(specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Each different tensor once, by its name, with the first engine that has it where that is not the graph's."""
    named: dict[str, TensorSpec] = {}
    for engine, spec in specs.items():
        if spec not in named.values():
            named[f"{spec.name} ({engine})" if engine and named else spec.name] = spec
    return named


def _list_input(name: str, spec: TensorSpec) -> list[str]:
    kind = spec.layout if spec.layout == "YUV420SP" else "RGB"
    return [name, f"{kind}_{_name_type(spec)}", _write_shape(spec), spec.layout]


def _list_output(name: str, spec: TensorSpec) -> list[str]:
    return [name, _name_type(spec), _write_shape(spec), "ND"]


def _name_type(spec: TensorSpec) -> str:
    return {"uint8": "UINT8", "float16": "FP16", "float32": "FP32"}[spec.dtype]


def _write_shape(spec: TensorSpec) -> str:
    return " x ".join("batchsize" if size is None else str(size) for size in spec.shape)


def write_environment(run: Run) -> list[str]:
    """The table of versions."""
    machine = run.manifest.environment
    rows = [*_list_drivers(machine), *_list_runtimes(run), ["Python", machine.python, NOTHING]]
    for name, version in sorted(machine.versions.items()):
        rows.append([name, version, NOTHING if name == "seatrial" else f"pip install {name}=={version}"])
    processor = f"{machine.cpu}, {machine.cores} {say('usable cores')}, {write_size(machine.memory_bytes)}"
    rows += [[say("Processor"), processor, NOTHING], [say("System"), machine.system, NOTHING]]
    header = [say("Component"), say("Version"), say("How to install it")]
    return [
        say("What the run used, as its records have it."),
        f"**{say('Table 1')}**  {say('Versions')}",
        tabulate(header, rows),
    ]


def _list_drivers(machine: Environment) -> Iterator[list[str]]:
    for chip in machine.accelerators:
        yield [say("Firmware and driver"), f"{chip.name} {chip.driver or say('not recorded')}", NOTHING]


def _list_runtimes(run: Run) -> Iterator[list[str]]:
    """The software development kits of engines that are no Python package of the list, such as CANN."""
    known = set(run.manifest.environment.versions)
    kits = {(built.engine, built.sdk_version) for built in run.built.values() if built.engine not in known}
    for engine, version in sorted(kits):
        yield ["CANN" if engine == "ascend" else engine, version, NOTHING]


def name_chip(run: Run, engine: str) -> str:
    """The hardware that an engine ran on."""
    record = run.measurements.get(engine) or run.accuracy.get(engine)
    machine = record.environment if record else run.manifest.environment
    built = run.built.get(engine)
    device = record.device if record else built.device if built else "cpu"
    kind, _, index = device.partition(":")
    if kind.lower() == "cpu" or not machine.accelerators:
        return machine.cpu if kind.lower() == "cpu" else device
    place = int(index) if index.isdecimal() else 0
    return machine.accelerators[min(place, len(machine.accelerators) - 1)].name


def write_versions(run: Run) -> list[str]:
    """What this README is of; the records hold no dates."""
    header = [say("Tool"), say("Run"), say("Verdict")]
    version = run.manifest.environment.versions.get("seatrial", NOTHING)
    outcome = run.verdict.outcome if run.verdict else say("not judged")
    return [tabulate(header, [[f"seatrial {version}", run.manifest.identity[:12], outcome]])]


def write_questions(run: Run) -> list[str]:
    """What the measurements noticed about themselves, as the answer to the question that readers have."""
    doubts = list_doubts(run)
    if not doubts:
        return [say("None.")]
    return [f"**{say('How far can these figures be trusted?')}**", write_markdown_list(doubts)]


def list_addresses(run: Run) -> list[str]:
    """Every address in the card, with what is there."""
    recipe, weights = run.recipe, run.recipe.weights
    found: Sequence[tuple[str, str | None]] = (
        (say("Definition of the network"), recipe.source),
        (say("Paper"), recipe.paper),
        (say("Weights"), weights.url if weights else None),
        (say("Published accuracy"), recipe.reference.source if recipe.reference else None),
    )
    rows = [[what, address] for what, address in found if address and address.startswith(("https://", "http://"))]
    if not rows:
        return [say("None.")]
    return [tabulate([say("What is there"), say("Address")], rows)]
