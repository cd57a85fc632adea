from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.engines.tensorrt.build import PlanJob, find_reason, read_numbers, read_version, write_command
from seatrial.engines.tensorrt.options import MAX_BATCH_SIZE, OPTIONS, Settings, read_settings
from seatrial.errors import UsageError

JOB = PlanJob(
    graph=Path("/graphs/model.onnx"),
    graph_precision="fp32",
    target=Path("/engines/model-4.plan"),
    precision="fp32",
    gpu=1,
    input="image",
    shapes=((4, 8, 9, 3), (4, 8, 9, 3), (4, 8, 9, 3)),
    version="10.3.0",
    settings=Settings(),
)
COMMON = [
    "trtexec",
    "--onnx=/graphs/model.onnx",
    "--saveEngine=model-4.plan",
    "--skipInference",
    "--profilingVerbosity=detailed",
    "--device=1",
    "--minShapes=image:4x8x9x3",
    "--optShapes=image:4x8x9x3",
    "--maxShapes=image:4x8x9x3",
]
CACHE = "--timingCacheFile=timing.cache"


@pytest.mark.parametrize(
    ("version", "graph", "precision", "flags"),
    [
        ("8.6.1", "fp32", "fp32", ["--noTF32", "--preview=+profileSharing0806"]),
        ("8.6.1", "fp32", "tf32", ["--preview=+profileSharing0806"]),
        ("8.6.1", "fp32", "fp16", ["--fp16", "--noTF32", "--preview=+profileSharing0806"]),
        ("8.6.1", "fp16", "fp16", ["--fp16", "--noTF32", "--preview=+profileSharing0806"]),
        ("8.6.1", "int8", "int8", ["--int8", "--noTF32", "--preview=+profileSharing0806"]),
        ("10.3.0", "fp32", "fp32", ["--noTF32"]),
        ("10.3.0", "fp32", "tf32", []),
        ("10.3.0", "fp32", "fp16", ["--fp16", "--noTF32"]),
        ("10.3.0", "fp16", "fp16", ["--noTF32", "--stronglyTyped"]),
        ("10.3.0", "int8", "int8", ["--int8", "--noTF32"]),
        ("11.4.0.106", "fp32", "fp32", ["--noTF32"]),
        ("11.4.0.106", "fp32", "tf32", []),
        ("11.4.0.106", "fp16", "fp16", ["--noTF32"]),
        ("11.4.0.106", "int8", "int8", ["--noTF32"]),
    ],
)
def test_each_version_is_asked_for_a_precision_in_its_own_way(
    version: str, graph: str, precision: str, flags: list[str]
) -> None:
    job = replace(JOB, version=version, graph_precision=graph, precision=precision)
    assert write_command(job) == [*COMMON, *flags, CACHE]


def test_options_become_flags_and_a_fixed_graph_is_given_no_shapes() -> None:
    settings = Settings(workspace_mb=512, level=5, timing_cache=Path("/caches/a b"))
    assert write_command(replace(JOB, settings=settings, shapes=None))[6:] == [
        "--noTF32",
        "--memPoolSize=workspace:512",
        "--builderOptimizationLevel=5",
        "--timingCacheFile=/caches/a b",
    ]


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --help", (8, 6, 1)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec", (10, 3, 0)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v101601] [b11] # trtexec", (10, 16, 1)),
        ("&&&& RUNNING TensorRT.trtexec [TensorRT v110201] [b3] # trtexec", (11, 2, 1)),
        ("sh: trtexec: cannot execute", None),
    ],
)
def test_the_version_of_trtexec_is_in_its_first_line(line: str, version: tuple[int, int, int] | None) -> None:
    assert read_version(line) == version


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (
            "[09/02/2024-17:35:22] [I] Start parsing network model.\n"
            "[09/02/2024-17:35:22] [E] [TRT] ModelImporter.cpp:948: In function parseNode:\n"
            "[09/02/2024-17:35:22] [E] Parsing model failed\n"
            "&&&& FAILED TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=a.onnx\n",
            "ModelImporter.cpp:948: In function parseNode:",
        ),
        ("[09/02/2024-17:35:22] [E] Unknown option: --fp16 \n", "Unknown option: --fp16"),
        ("&&&& FAILED TensorRT.trtexec # trtexec\n", "&&&& FAILED TensorRT.trtexec # trtexec"),
        (
            "error while loading shared libraries: libnvinfer.so\n\n",
            "error while loading shared libraries: libnvinfer.so",
        ),
        ("", "it printed nothing"),
    ],
)
def test_the_first_error_is_the_reason(printed: str, reason: str) -> None:
    assert find_reason("trtexec --onnx=a.onnx\n" + printed) == reason


def test_versions_are_compared_by_three_numbers() -> None:
    assert [read_numbers(v) for v in ("10.16.1.11", "8.6", "10.0.0b6")] == [(10, 16, 1), (8, 6, 0), (10, 0, 0)]


def test_settings_have_defaults_that_fit_together() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"max_batch_size": "4"}).opt_batch_size == 4
    assert read_settings({"opt_batch_size": "16"}).max_batch_size == MAX_BATCH_SIZE
    assert read_settings({"timing_cache": "a"}).timing_cache == Path.cwd() / "a"
    assert read_settings({"builder_optimization_level": "0"}).level == 0


@pytest.mark.parametrize(
    ("options", "sizes", "words"),
    [
        ({"workspace": "5"}, (), "tensorrt has no option 'workspace'; its options: " + ".*, ".join(OPTIONS)),
        ({"workspace_mb": "0"}, (), "workspace_mb=0 is not a number; give a whole number of at least 1"),
        ({"builder_optimization_level": "6"}, (), "builder_optimization_level=6 is not 0 to 5"),
        (
            {"builder_optimization_level": "-1"},
            (),
            "builder_optimization_level=-1 is not a number; give a whole number of at least 0",
        ),
        ({"max_batch_size": "4", "opt_batch_size": "8"}, (), "opt_batch_size=8 is above max_batch_size=4"),
        ({"max_batch_size": "4"}, (1, 4), "option max_batch_size is for a free batch, and the batch is fixed"),
        ({"builder": "polygraphy"}, (), "there is no builder=polygraphy; give trtexec or python"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], sizes: tuple[int, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_settings(options, sizes)
