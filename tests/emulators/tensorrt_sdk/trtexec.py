"""EMULATOR for tests of NVIDIA's `trtexec`: checks its flags and writes an emulated plan. It has not met hardware.

Flags, messages and exit codes are those of the `trtexec` of TensorRT 8.6, 10 and 11; of all its flags only those are
known that build a plan, and it runs no inference. EMULATED_TENSORRT says which version it plays.
"""

import os
import re
import sys
from pathlib import Path

import tensorrt

SWITCHES = {"skipInference", "noTF32", "verbose"} | ({"stronglyTyped"} if tensorrt.MAJOR >= 10 else set())
SWITCHES |= {"fp16", "int8", "best"} if tensorrt.MAJOR < 11 else set()
VALUES = {"onnx", "saveEngine", "device", "profilingVerbosity", "timingCacheFile", "memPoolSize", "preview"}
VALUES |= {"minShapes", "optShapes", "maxShapes", "builderOptimizationLevel"}
PREVIEWS = ("profileSharing0806",)


class Refused(Exception):
    """What trtexec says before it fails."""


class Log(tensorrt.ILogger):
    def log(self, severity: object, msg: str) -> None:
        say("E" if severity in (tensorrt.ILogger.ERROR, tensorrt.ILogger.INTERNAL_ERROR) else "I", f"[TRT] {msg}")


def say(severity: str, text: str) -> None:
    sys.stdout.write(f"[01/02/2026-03:04:05] [{severity}] {text}\n")


def report(result: str) -> None:
    major, minor, patch = (int(part) for part in tensorrt.__version__.split(".")[:3])
    number = major * (1000 if major < 10 else 10000) + minor * 100 + patch
    sys.stdout.write(f"&&&& {result} TensorRT.trtexec [TensorRT v{number}] # {' '.join(sys.argv)}\n")


def read_arguments(words: list[str]) -> dict[str, str]:
    options = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        known = (name in VALUES and value) or (name in SWITCHES and not value)
        if not word.startswith("--") or not known:
            raise Refused(f"Unknown option: {word.partition('=')[0]} {value}")
        options[name] = value
    return options


def read_shapes(options: dict[str, str], name: str) -> list[list[int]] | None:
    shapes = []
    for key in ("minShapes", "optShapes", "maxShapes"):
        if key in options:
            tensor, _, sizes = options[key].rpartition(":")
            if tensor != name:
                raise Refused(f'Cannot find input tensor with name "{tensor}" in the network inputs!')
            shapes.append([int(size) for size in sizes.split("x")])
    return shapes or None


def configure(options: dict[str, str], builder: tensorrt.Builder) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    for flag in ("fp16", "int8"):
        if flag in options:
            config.set_flag(tensorrt.BuilderFlag[flag.upper()])
    if "noTF32" in options:
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    if options.get("profilingVerbosity") == "detailed":
        config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
    if "preview" in options:
        if options["preview"][0] not in "+-" or options["preview"][1:] not in PREVIEWS:
            raise Refused(f"Unknown preview feature: {options['preview']}")
        config.sharing = True
    if "memPoolSize" in options and not re.fullmatch(r"workspace:\d+", options["memPoolSize"]):
        raise Refused("conversion failure: failed to parse --memPoolSize. Please double check your input string.")
    return config


def build(options: dict[str, str]) -> None:
    logger = Log()
    builder = tensorrt.Builder(logger)
    flags = 1 << int(tensorrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if tensorrt.MAJOR < 10 else 0
    if "stronglyTyped" in options and tensorrt.MAJOR < 11:
        flags |= 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    if not tensorrt.OnnxParser(network, logger).parse_from_file(options["onnx"]):
        raise Refused("Failed to parse onnx file")
    plan = tensorrt.plan.Plan(tensorrt.__version__, "", [], False, False, False, None, network.graph)
    given = plan.model.graph.input[0]
    shapes = read_shapes(options, given.name)
    config = configure(options, builder)
    if shapes and given.type.tensor_type.shape.dim[0].dim_value:
        raise Refused("Static model does not take explicit shapes since the shape of inference tensors will be ")
    if shapes:
        profile = builder.create_optimization_profile()
        profile.set_shape(given.name, *shapes)
        config.add_optimization_profile(profile)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise Refused("Engine could not be created from network")
    Path(options["saveEngine"]).write_bytes(built)
    if "timingCacheFile" in options:
        Path(options["timingCacheFile"]).write_bytes(config.create_timing_cache(b"").serialize())


def main() -> int:
    report("RUNNING")
    try:
        options = read_arguments(sys.argv[1:])
        if "skipInference" not in options:
            raise Refused("this emulator runs no inference: give --skipInference")
        tensorrt.runtime.cudaSetDevice(int(options.get("device", 0)))
        if os.environ.get("EMULATED_FAULT") == "crash":
            os.abort()
        build(options)
    except Refused as refused:
        say("E", str(refused))
        say("E", "Engine set up failed")
        report("FAILED")
        return 1
    say("I", "Skipped inference phase since --skipInference is added.")
    report("PASSED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
