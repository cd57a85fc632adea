"""EMULATOR for tests of NVIDIA's `tensorrt` package: onnxruntime computes, no GPU. It has not met hardware.

Only what the engine uses, with the names and signatures of TensorRT's Python bindings; anything else is an
AttributeError, as is what a version does not have. EMULATED_TENSORRT says which version it plays. EMULATED_FAULT=fp32
makes the builder choose float32 kernels whatever its flags allow, as the real one may.
"""

import os
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from cuda.bindings import runtime

from tensorrt.plan import Plan, coarsen, describe, find_fault, round_weights

__version__ = os.environ["EMULATED_TENSORRT"]
MAJOR = int(__version__.split(".")[0])
KERNEL_MS = 2.0
"""What every run of a plan takes, on the emulated clock."""


def _enum(name: str, *names: str) -> Any:
    return IntEnum(name, [(member, number) for number, member in enumerate(names)])


DataType = _enum("DataType", "FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8")
LayerInformationFormat = _enum("LayerInformationFormat", "ONELINE", "JSON")
MemoryPoolType = _enum("MemoryPoolType", "WORKSPACE")
ProfilingVerbosity = _enum("ProfilingVerbosity", "LAYER_NAMES_ONLY", "NONE", "DETAILED")
BuilderFlag = _enum("BuilderFlag", "TF32", *(() if MAJOR >= 11 else ("FP16", "INT8")))
NetworkDefinitionCreationFlag = _enum(
    "NetworkDefinitionCreationFlag",
    *(("EXPLICIT_BATCH",) if MAJOR < 11 else ()),
    *(("STRONGLY_TYPED",) if MAJOR >= 10 else ()),
)
if MAJOR < 10:
    PreviewFeature = _enum("PreviewFeature", "PROFILE_SHARING_0806")
TYPES = {"uint8": DataType.UINT8, "float": DataType.FLOAT, "float16": DataType.HALF}
NUMPY = {DataType.UINT8: np.uint8, DataType.FLOAT: np.float32, DataType.HALF: np.float16}


def nptype(trt_type: Any) -> type:
    return NUMPY[trt_type]


class ILogger:
    Severity = _enum("Severity", "INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class INetworkDefinition:
    __slots__ = ("flags", "graph")

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.graph = b""


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._logger = network, logger
        self._errors: list[ParserError] = []

    def parse_from_file(self, model: str) -> bool:
        fault = find_fault(Path(model))
        if fault is not None:
            self._errors.append(ParserError(fault))
            self._logger.log(ILogger.ERROR, fault)
            return False
        self._network.graph = Path(model).read_bytes()
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> "ParserError":
        return self._errors[index]


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return f"cache {__version__}".encode()


class IBuilderConfig:
    __slots__ = ("builder_optimization_level", "cache", "flags", "pools", "profiles", "profiling_verbosity", "sharing")

    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.pools: dict[Any, int] = {}
        self.profiles: list[IOptimizationProfile] = []
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.builder_optimization_level = 3
        self.sharing = MAJOR >= 10
        self.cache: ITimingCache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        self.sharing = enable

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.pools[pool] = pool_size

    def add_optimization_profile(self, profile: "IOptimizationProfile") -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return cache.data in (b"", cache.serialize())

    def get_timing_cache(self) -> ITimingCache | None:
        return self.cache


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:
        self.shapes[input] = [list(min), list(opt), list(max)]


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        typed = MAJOR >= 11 or self._has(network, "STRONGLY_TYPED")
        if MAJOR < 10 and not self._has(network, "EXPLICIT_BATCH"):
            return self._refuse("Network must have explicit batch dimension")
        if typed and config.flags - {BuilderFlag.TF32}:
            return self._refuse("Precision flags are not allowed in a strongly typed network")
        flags = [] if os.environ.get("EMULATED_FAULT") == "fp32" else sorted(flag.name for flag in config.flags)
        _, capability = runtime.list_emulated()[runtime.current_gpu()]
        detailed = config.profiling_verbosity == ProfilingVerbosity.DETAILED
        plan = Plan(__version__, capability, flags, typed, detailed, config.sharing, None, network.graph)
        given = plan.model.graph.input[0]
        if not given.type.tensor_type.shape.dim[0].dim_value:
            if not config.profiles or given.name not in config.profiles[0].shapes:
                return self._refuse("Network has dynamic or shape inputs, but no optimization profile has been defined")
            plan.profile = config.profiles[0].shapes[given.name]
        self._logger.log(ILogger.INFO, f"Engine generation completed, flags {flags}")
        return plan.write()

    def _has(self, network: INetworkDefinition, name: str) -> bool:
        flag = getattr(NetworkDefinitionCreationFlag, name, None)
        return flag is not None and bool(network.flags & 1 << int(flag))

    def _refuse(self, reason: str) -> None:
        self._logger.log(ILogger.ERROR, f"Error Code 4: API Usage Error ({reason})")


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        plan = Plan.read(bytes(serialized_engine))
        _, capability = runtime.list_emulated()[runtime.current_gpu()]
        if plan is None:
            reason = "Serialization assertion magicTagRead == magicTag failed.Magic tag does not match"
        elif plan.version != __version__:
            reason = f"The engine plan file is not compatible with this version of TensorRT, expecting {__version__}"
        elif plan.capability != capability:
            reason = f"The engine plan file is generated on an incompatible device, expecting compute {capability}"
        else:
            return ICudaEngine(plan, self._logger)
        self._logger.log(ILogger.ERROR, f"IRuntime::deserializeCudaEngine: Error Code 1: Serialization ({reason})")
        return None


class ICudaEngine:
    def __init__(self, plan: Plan, logger: ILogger) -> None:
        import onnxruntime

        self._plan, self._logger = plan, logger
        model = plan.model
        round_weights(model, plan.flags)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self._ends = {end.name: end for end in (*self._session.get_inputs(), *self._session.get_outputs())}
        self._contexts = 0

    @property
    def num_io_tensors(self) -> int:
        return len(self._ends)

    def get_tensor_name(self, index: int) -> str:
        return list(self._ends)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return TYPES[self._ends[name].type.removeprefix("tensor(").removesuffix(")")]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._ends[name].shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert profile_index == 0 and self._plan.profile is not None
        return self._plan.profile

    def create_execution_context(self) -> "IExecutionContext":
        self._contexts += 1
        return IExecutionContext(self, self._plan.sharing or self._contexts == 1)

    def create_engine_inspector(self) -> "EngineInspector":
        return EngineInspector(self._plan)


class EngineInspector:
    __slots__ = ("_plan", "execution_context")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.execution_context: IExecutionContext | None = None

    def get_engine_information(self, format: Any) -> str:
        assert format == LayerInformationFormat.JSON
        return describe(self._plan, bool(self.execution_context and self.execution_context.shape))


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, may_share: bool) -> None:
        self._engine, self._may_share = engine, may_share
        self._addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not self._may_share:
            reason = "Profile 0 has been chosen by another IExecutionContext"
            self._engine._logger.log(ILogger.ERROR, f"setOptimizationProfileAsync: {reason}")
        return self._may_share and profile_index == 0

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return name in self._engine._ends

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        least, _, most = self._engine._plan.profile or [list(self._engine.get_tensor_shape(name))] * 3
        fits = all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))
        if not fits:
            reason = f"Supplied shape {list(shape)} is not in the range of optimization profile 0"
            self._engine._logger.log(ILogger.ERROR, f"setInputShape: Error Code 3: API Usage Error ({reason})")
        self.shape = tuple(shape) if fits else self.shape
        return fits

    def execute_async_v3(self, stream_handle: int) -> bool:
        session, shape = self._engine._session, self.shape
        given, wanted = session.get_inputs()[0].name, session.get_outputs()[0].name
        dtype = nptype(self._engine.get_tensor_dtype(given))
        source, target = self._addresses.get(given), self._addresses.get(wanted)
        if not shape or source is None or target is None:
            self._engine._logger.log(ILogger.ERROR, "enqueueV3: Error Code 3: a shape or an address is not set")
            return False

        def work() -> None:
            block = _view(source, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            batch = coarsen(block.view(dtype).reshape(shape), self._engine._plan.flags)
            answer = coarsen(session.run([wanted], {given: batch})[0], self._engine._plan.flags)
            _view(target, answer.nbytes)[:] = np.ascontiguousarray(answer).view(np.uint8).ravel()

        return runtime.enqueue(stream_handle, work, KERNEL_MS) == 0


def _view(address: int, size: int) -> np.ndarray:
    import ctypes

    assert runtime.holds(runtime.device_memory, address, size), "a kernel left its buffer"
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
