"""How an evaluation is spread and put together again; what Ray does is scripted here, and real in tests/integration."""

import importlib.metadata
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colour_graph import make_colour_graph
from dying_process import die
from fake_engine import CLASSES, make_recipe
from noise_images import DISTINCT, list_noise
from seatrial.cli import run_cli
from seatrial.cluster import connection
from seatrial.cluster.connection import RayExecutor, parse_cluster
from seatrial.cluster.evaluator import Evaluator
from seatrial.cluster.messages import ClusterJob, Lost, Node, Reply, Wish
from seatrial.cluster.placement import place_actors
from seatrial.cluster.work import Brief, Chunk
from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.engines.base import MANIFEST, EngineFile
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.errors import DataError, EngineError, ParityError, SeatrialError, UsageError
from seatrial.evaluation.batch_dependence import choose_probe
from seatrial.evaluation.stream import StreamPlan
from seatrial.machine.environment import read_environment
from seatrial.progress import Update
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.measurement import Throughput
from seatrial.store.records import AccuracyRecord, GraphManifest
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine

COUNT = 203
NODES = tuple(Node(name, name, 4, None, read_environment()) for name in ("x", "y"))
Told = Iterator[Reply | Lost | SeatrialError | None]
Script = Callable[[ClusterJob, Evaluator], Told]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    """Its card asks nobody whether predictions of noise are plausible."""
    return build(tmp_path_factory.mktemp("engine"), {"plausible": False})


def build(folder: Path, gates: dict[str, bool]) -> EngineFile:
    graph = make_colour_graph(folder)
    manifest = GraphManifest.load(manifest_path(graph))
    changes = {"preprocess_hash": make_pipeline(make_recipe()).hash, "recipe": {**manifest.recipe, "gates": gates}}
    manifest.model_copy(update=changes).save(manifest_path(graph))
    return build_engine(graph, BuildSpec("onnxruntime"), folder / "colours", compile=compile_here)


@pytest.fixture
def images(tmp_path: Path) -> tuple[LabelledImage, ...]:
    return list_noise(tmp_path / "noise", COUNT)


class ScriptedLink:
    """Stands for the process that talks to Ray: machines, then what the script makes of the work."""

    scripts: list[tuple[tuple[Node, ...], Script]]
    closed: int

    def __init__(self, address: str, wish: Wish) -> None:
        self.nodes, self.script = self.scripts.pop(0)
        self.told: Iterator[Any] = iter([(self.nodes, place_actors(self.nodes, wish))])

    def send(self, work: ClusterJob) -> None:
        self.told = self.script(work, Evaluator(pickle.loads(work.brief), lambda: pytest.fail("the engine is here")))

    def receive(self, quiet: Callable[[], None] = lambda: None) -> Any:
        told = next(self.told)
        if isinstance(told, SeatrialError):
            raise told
        return told

    def close(self) -> None:
        type(self).closed += 1


def answer(work: ClusterJob, evaluator: Evaluator) -> Iterator[Reply]:
    """All chunks, the last first."""
    for number in sorted(work.chunks, reverse=True):
        outcome = evaluator.predict(pickle.loads(work.chunks[number]))
        yield Reply(number, pickle.dumps(outcome))


def answer_all(work: ClusterJob, evaluator: Evaluator) -> Told:
    yield from answer(work, evaluator)
    yield None


def answer_twice(work: ClusterJob, evaluator: Evaluator) -> Told:
    for reply in answer(work, evaluator):
        yield reply
        yield reply
    yield None


def lose_a_machine(work: ClusterJob, evaluator: Evaluator) -> Told:
    some = answer(work, evaluator)
    yield next(some)
    yield next(some)
    yield Lost(("y",))


def lose_all(work: ClusterJob, evaluator: Evaluator) -> Told:
    yield Lost(("x", "y"))


def spread(
    monkeypatch: pytest.MonkeyPatch, scripts: list[tuple[tuple[Node, ...], Script]], **asked: Any
) -> RayExecutor:
    monkeypatch.setattr(ScriptedLink, "scripts", scripts, raising=False)
    monkeypatch.setattr(ScriptedLink, "closed", 0, raising=False)
    monkeypatch.setattr(connection, "_Link", ScriptedLink)
    return RayExecutor("cpu", **asked)


@pytest.mark.parametrize(
    "scripts",
    [
        [(NODES, answer_all)],
        [(NODES, answer_twice)],
        [(NODES, lose_a_machine), (NODES[:1], answer_all)],
        [(NODES, lose_all), (NODES, lose_all), (NODES[:1], lose_a_machine), (NODES[:1], answer_twice)],
    ],
    ids=["once", "doubles", "a machine lost", "many lost"],
)
def test_the_files_are_those_of_one_machine(
    scripts: list[tuple[tuple[Node, ...], Script]], monkeypatch: pytest.MonkeyPatch, engine: EngineFile,
    images: tuple[LabelledImage, ...], tmp_path: Path,
) -> None:  # fmt: skip
    spec = EvaluateSpec(images, 8, keep_logits=True)
    evaluate_engine(engine.folder, spec, tmp_path / "alone")
    links = len(scripts)
    with spread(monkeypatch, scripts, actors=3) as cluster:
        record = evaluate_engine(engine.folder, spec, tmp_path / "spread", executor=cluster)
    for name in ("colours.parquet", "colours.json"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert (record.images, record.batch_invariant, record.doubts) == (COUNT, True, ())
    assert ScriptedLink.closed == links


def test_what_is_reported_and_stored_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    notes: list[str] = []
    with spread(monkeypatch, [(NODES, lose_a_machine), (NODES[:1], answer_all)]) as cluster:
        spec = EvaluateSpec(images, 8)
        evaluate_engine(engine.folder, spec, tmp_path, lambda update: notes.append(update.note), cluster)
    each = "each with 4 decode workers, 8 streams; batches of 8"
    assert [note for note in notes if note][:3] == [
        f"colours: 2 actors of 4 CPUs on 2 machines, {each}",
        "colours: y of the cluster went away; its images are run again",
        f"colours: 1 actor of 4 CPUs on 1 machine, {each}",
    ]
    pace = Throughput.load(tmp_path / "colours.throughput.json")
    assert (pace.decode_workers, pace.streams, pace.sessions, pace.images) == (
        4,
        8,
        1,
        COUNT,
    ) and pace.first_prediction_s > 0


def test_it_goes_on_where_one_machine_was_stopped(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    def stop(update: Update) -> None:
        if update.done >= 40:
            raise KeyboardInterrupt

    spec = EvaluateSpec(images, 8)
    with pytest.raises(KeyboardInterrupt):
        evaluate_engine(engine.folder, spec, tmp_path / "both", stop)
    asked: list[int] = []

    def count_and_answer(work: ClusterJob, evaluator: Evaluator) -> Told:
        asked.extend(len(pickle.loads(chunk).images) for chunk in work.chunks.values())
        return answer_all(work, evaluator)

    with spread(monkeypatch, [(NODES, count_and_answer)]) as cluster:
        evaluate_engine(engine.folder, spec, tmp_path / "both", executor=cluster)
    assert 0 < sum(asked) <= COUNT - 40
    evaluate_engine(engine.folder, spec, tmp_path / "alone")
    assert (tmp_path / "both/colours.parquet").read_bytes() == (tmp_path / "alone/colours.parquet").read_bytes()


def test_an_error_of_an_actor_is_the_error(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    def fail(work: ClusterJob, evaluator: Evaluator) -> Told:
        yield Reply(0, pickle.dumps(ParityError("not a number", "mend it")))

    with spread(monkeypatch, [(NODES, fail)]) as cluster, pytest.raises(ParityError) as caught:
        evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path, executor=cluster)
    assert (caught.value.problem, caught.value.fix) == ("not a number", "mend it")
    assert ScriptedLink.closed == 1 and not (tmp_path / "colours.json").exists()


def test_machines_that_only_come_and_go_end_it(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    with (
        spread(monkeypatch, [(NODES, lose_all)] * 4) as cluster,
        pytest.raises(EngineError, match="go away before they finish a chunk"),
    ):
        evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path, executor=cluster)


def test_that_nobody_swapped_channels_is_a_doubt_where_they_may_be(
    monkeypatch: pytest.MonkeyPatch, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    """The labels of noise are wrong for many images, so that another order of the channels might explain them."""
    engine = build(tmp_path, {})
    with spread(monkeypatch, [(NODES, answer_all)]) as cluster:
        record = evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path / "out", executor=cluster)
    told = "not checked whether red and blue are swapped: a cluster runs each image once, as it is"
    assert record.doubts == (told,) and record.unchecked == ""


def test_another_kind_of_cpu_is_a_doubt(
    monkeypatch: pytest.MonkeyPatch, engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    other = read_environment().model_copy(update={"cpu": "Abacus", "cpu_flags": ("beads",)})

    def answer_as_two(work: ClusterJob, evaluator: Evaluator) -> Told:
        for reply in answer(work, evaluator):
            yield reply
            monkeypatch.setattr(evaluator, "_machine", "Abacus (beads)")
        yield None

    nodes = (*NODES, Node("z", "z", 4, None, other))
    with spread(monkeypatch, [(nodes, answer_as_two)]) as cluster:
        record = evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path, executor=cluster)
    assert record.environment == read_environment()
    (doubt,) = AccuracyRecord.load(tmp_path / "colours.json").doubts
    assert doubt.startswith("run on 2 kinds of CPU") and "Abacus (beads)" in doubt


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"decode_workers": 9}, "--workers 9 is more than an actor may have"),
        ({"until_pp": 1.0}, "--until-certain does not work with --cluster"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(
    asked: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch, engine: EngineFile,
    images: tuple[LabelledImage, ...], tmp_path: Path,
) -> None:  # fmt: skip
    evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path / "reference")
    spec = EvaluateSpec(images, reference=tmp_path / "reference/colours.parquet", **asked)
    with spread(monkeypatch, [(NODES, answer_all)]) as cluster, pytest.raises(UsageError, match=told):
        evaluate_engine(engine.folder, spec, tmp_path / "spread", executor=cluster)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ray", "auto"),
        ("ray:auto", "auto"),
        ("ray:local", "local"),
        ("ray:head:6379", "head:6379"),
        ("ray:[::1]:1", "[::1]:1"),
    ],
)
def test_clusters_are_named_so(text: str, address: str) -> None:
    assert parse_cluster(text) == address


@pytest.mark.parametrize("text", ["spark", "ray:", "ray:head", "ray://head:10001", "ray:head:port", ""])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give ray, ray:HOST:6379 or ray:local"):
        parse_cluster(text)


def test_a_process_that_dies_is_an_error_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "serve", die)
    with pytest.raises(EngineError, match=r"the process that talks to Ray died \(it was the end\)"):
        RayExecutor("cpu")
    assert not [thread for thread in threading.enumerate() if "ray" in thread.name]


def make_brief(engine: EngineFile, images: tuple[LabelledImage, ...], **changes: Any) -> Brief:
    probe = choose_probe(images, 4, 1e-4, False)
    asked = {"cpus": 64, "versions": {}, "probe": probe, "probe_bytes": images[0].measure()[0], **changes}
    return Brief(engine.folder, hash_file(engine.folder / MANIFEST), StreamPlan(4), **asked)


def test_predictions_and_broken_images_have_the_indices_of_the_evaluation(
    engine: EngineFile, images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    broken = LabelledImage("broken", tmp_path / "broken.png", 0)
    broken.path.write_bytes(images[0].path.read_bytes()[:60])
    evaluator = Evaluator(make_brief(engine, images), lambda: pytest.fail("the engine is here"))
    some, indices = (*images[:5], broken, *images[5:7]), np.array([3, 10, 11, 12, 40, 41, 50, 60])
    outcome = evaluator.predict(Chunk(2, some, indices))
    assert outcome.batch is None
    assert sorted(np.concatenate([found.indices for found in outcome.batches])) == [3, 10, 11, 12, 40, 50, 60]
    assert [(index, "damaged" in why) for found in outcome.batches for index, why in (found.bad or {}).items()] == [
        (41, True)
    ]
    assert {found.width for found in outcome.batches} == {CLASSES} and all(found.machine for found in outcome.batches)
    batch = evaluator.predict(Chunk(0, images[:2], np.arange(2))).batch
    assert batch is not None and batch.exact and batch.distance == 0


def test_a_machine_that_sees_other_images_is_refused(engine: EngineFile, images: tuple[LabelledImage, ...]) -> None:
    gone = LabelledImage("gone", Path("/nowhere/gone.png"), 0)
    for changes, told in (
        (
            {"probe": choose_probe((gone,), 4, 1e-4, False)},
            "does not see the images: image /nowhere/gone.png cannot be read",
        ),
        ({"probe_bytes": 1}, "bytes on .* and 1 here; every machine of the cluster must see the images"),
    ):
        with pytest.raises(DataError, match=told):
            Evaluator(make_brief(engine, images, **changes), lambda: pytest.fail("not asked"))


def test_a_machine_with_other_software_is_refused(engine: EngineFile, images: tuple[LabelledImage, ...]) -> None:
    with pytest.raises(EngineError, match=r"has numpy .*, others of the cluster have 0\.1"):
        Evaluator(make_brief(engine, images, versions={"numpy": "0.1"}), lambda: pytest.fail("not asked"))


def test_without_ray_it_is_told_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", find_nothing)
    with pytest.raises(EngineError, match=r"^ray is not installed; pip install 'seatrial\[ray\]'$"):
        RayExecutor("cpu")


def test_a_cluster_that_is_not_there_is_reported_at_once() -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        EngineError, match=rf"no Ray cluster can be used at 127\.0\.0\.1:{port} \(.*refused\); `ray start"
    ):
        RayExecutor("cpu", f"127.0.0.1:{port}")


def test_options_of_a_cluster_need_one(engine: EngineFile, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    list_noise(tmp_path / "noise", 1)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{index:02d}.png 0\n" for index in range(DISTINCT)))
    words = ["evaluate", str(engine.folder), "--images", str(tmp_path / "noise"), "--labels", str(labels)]
    for option in ("--actors", "--cpus-per-actor"):
        assert run_cli([*words, "--output", str(tmp_path / "out"), option, "2"]) == 2
        assert capsys.readouterr().err.endswith("need a cluster; give --cluster ray\n")


def test_the_process_that_talks_to_ray_imports_nothing_that_evaluates() -> None:
    """It would take longer than Ray itself to begin, while the evaluating process waits."""
    words = "import sys, seatrial.cluster.driver; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    assert "'seatrial.cluster.actor'" in loaded
    assert not [name for name in ("pyarrow", "seatrial.evaluation", "seatrial.engines") if f"'{name}'" in loaded]
