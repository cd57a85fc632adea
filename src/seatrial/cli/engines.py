"""`seatrial compile` and `bench`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.load import LoadWords, Preset, Scenario, TargetLatency, TargetQps, print_load
from seatrial.cli.options import Folder, Json, Output, read_pairs, read_sizes
from seatrial.cli.show import print_json, print_table, showing


def compile(
    graph: Annotated[Path, typer.Argument(help="An ONNX file, with the manifest that `seatrial export` wrote.")],
    engine: Annotated[str, typer.Option(help="One of those that `seatrial doctor` lists.")],
    output: Output,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16, fp16, int8 …; default: the graph's, in which the engine can run it.")
    ] = None,
    batch_size: Annotated[str, typer.Option(help="Numbers such as 1,8, one file each, or `dynamic`.")] = "dynamic",
    device: Annotated[str | None, typer.Option(help="Such as cpu, cuda:0; default: the engine's first.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, the engine's own; may be repeated.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="What GRAPH is, where `seatrial export` did not write it: a name or a card.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the fastest of the batch sizes, streams and threads, and keep that.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compile a graph for an engine and read back what was built."""
    from seatrial.engines.build import BuildSpec
    from seatrial.recipes import load_recipe
    from seatrial.workflow.adopt import adopt_graph
    from seatrial.workflow.engines import choose_engine, compile_graph
    from seatrial.workflow.tuning import TuneSpec, describe_trial, tune_graph

    sizes = () if batch_size == "dynamic" else read_sizes(batch_size)
    if recipe is not None:
        adopt_graph(graph, load_recipe(recipe))
    with showing() as progress:
        chosen = choose_engine(graph, engine, precision, device)
        spec = BuildSpec(engine, chosen.precision, chosen.device, sizes, read_pairs(option or []))
        if tune:
            looked = TuneSpec(batch_sizes=sizes) if sizes else TuneSpec()
            built = tune_graph(graph, replace(spec, batch_sizes=()), looked, output, progress).manifest
        else:
            built = compile_graph(graph, spec, output, progress).manifest
    if as_json:
        print_json(built.model_dump(mode="json", by_alias=True))
        return
    executed = ", ".join(f"{count} in {name}" for name, count in sorted(built.executed.items())) or "as the graph"
    files = ", ".join(f"{m.path} (batch {m.batch_size or 'free'})" for m in built.files)
    print(
        f"{output}: {built.engine} {built.sdk_version} {built.precision} on {built.device}; layers: {executed}; {files}"
    )
    if built.tuning is not None:
        print(f"fastest of {len(built.tuning.trials)} trials: {describe_trial(built.tuning.best)}")


def bench(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", help="The record to write (.json).")],
    batch_size: Annotated[str, typer.Option(help="Numbers such as 1,4,8,16.")] = "1,4,8,16",
    images: Annotated[Path | None, typer.Option(help="Folder of images to feed; default: random bytes.")] = None,
    duration: Annotated[float, typer.Option(help="Seconds to measure each point at least.", min=0.01)] = 10.0,
    min_samples: Annotated[int, typer.Option(help="Samples of each point at least.", min=1)] = 50,
    processes: Annotated[int, typer.Option(help="Fresh processes for each point.", min=1)] = 1,
    streams: Annotated[
        int | None, typer.Option(help="Concurrent callers; default: 1, or what tuning found.", min=1)
    ] = None,
    scenario: Scenario = None,
    preset: Preset = None,
    target_qps: TargetQps = None,
    target_latency_ms: TargetLatency = None,
    as_json: Json = False,
) -> int:
    """Measure an engine's speed, array in to logits out, each point in a fresh process, every sample kept."""
    from seatrial.workflow.speed import BenchSpec, bench_engine, choose_streams, prepare_folder

    asked = LoadWords(scenario, preset, target_qps, target_latency_ms, duration, min_samples, processes, streams)
    if asked.is_load():
        return print_load(folder, asked, read_sizes(batch_size), output, images, as_json)
    with showing() as progress:
        callers = choose_streams(folder, streams)
        pixels = prepare_folder(folder, images, output) if images else None
        spec = BenchSpec(read_sizes(batch_size), duration, min_samples, processes, callers, images=pixels)
        record = bench_engine(folder, spec, output, progress)
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return 0
    from seatrial.metrics.latency import Latency

    rows = []
    for size in dict.fromkeys(point.batch_size for point in record.points):
        samples = [d for p in record.points if p.batch_size == size for d in p.durations_ms]
        figures = Latency.of(samples, size, callers)
        times = (figures.median_ms, figures.p90_ms, figures.p99_ms)
        rows.append([str(size), f"{figures.images_per_s:.1f}", *(f"{t:.2f}" for t in times), str(figures.samples)])
    print_table(["batch", "images/s", "median ms", "p90 ms", "p99 ms", "samples"], rows)
    for doubt in record.doubts:
        print(f"doubt: {doubt}")
    return 0
