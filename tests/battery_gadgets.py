"""Checkpoints that would run code if anything unpickled them with trust, and archives that lie about themselves."""

import gzip
import io
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

MARK = "battery-mark"
"""The argument that every gadget is called with, by which the call is known."""
GADGETS = tuple(
    line.split()
    for line in """
posix system
os system
os popen
os execv
os execvp
os spawnl
os remove
os unlink
os rmdir
os mkdir
os makedirs
os rename
os putenv
os startfile
os chdir
subprocess call
subprocess run
subprocess check_call
subprocess check_output
subprocess getoutput
subprocess getstatusoutput
subprocess Popen
pty spawn
builtins exec
builtins eval
builtins compile
builtins __import__
builtins open
builtins print
io open
importlib import_module
importlib.util spec_from_file_location
runpy run_path
runpy run_module
runpy _run_code
code interact
codeop compile_command
timeit timeit
timeit repeat
pdb run
pdb runeval
cProfile run
profile run
trace main
doctest debug_script
doctest testfile
ast literal_eval
pydoc pipepager
pydoc locate
webbrowser open
shutil rmtree
shutil copyfile
shutil move
shutil unpack_archive
tempfile mkdtemp
glob glob
fileinput input
linecache getlines
socket create_connection
socket gethostbyname
urllib.request urlopen
urllib.request urlretrieve
asyncio run
ctypes CDLL
ctypes.util find_library
signal raise_signal
atexit register
sys settrace
site addsitedir
sysconfig get_config_var
uuid uuid5
zipfile main
tarfile open
sqlite3 connect
dbm open
shelve open
marshal loads
pickle loads
pickle load
_pickle loads
copyreg _reconstructor
cloudpickle loads
joblib load
numpy load
numpy fromfile
numpy memmap
numpy loadtxt
torch load
torch.hub load
torch.hub download_url_to_file
torch.jit load
torch.serialization load
torch.serialization._open_zipfile_reader __init__
torch.utils.cpp_extension load
torch.utils.cpp_extension load_inline
torch.utils.model_zoo load_url
torch.ops load_library
torch.serialization os.system
torch serialization.os.system
torch._utils torch.serialization.os.popen
collections namedtuple
collections abc.sys.settrace
logging.config fileConfig
logging.config dictConfig
platform popen
multiprocessing.util spawnv_passfds
""".strip().splitlines()
)


def _name(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _reduce(module: str, name: str) -> bytes:
    return _name(module, name) + _text(MARK) + b"\x85R"


def _inst(module: str, name: str) -> bytes:
    return b"(" + _text(MARK) + b"i" + f"{module}\n{name}\n".encode()


def _obj(module: str, name: str) -> bytes:
    return b"(" + _name(module, name) + _text(MARK) + b"o"


def _new(module: str, name: str) -> bytes:
    return _name(module, name) + _text(MARK) + b"\x85\x81"


def _stack_global(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + b"\x93" + _text(MARK) + b"\x85R"


def _build(module: str, name: str) -> bytes:
    """An object that torch allows is given a `__setstate__`, which is then called."""
    set_state = b"}" + _text("__setstate__") + _name(module, name) + b"sb"
    return _name("argparse", "Namespace") + b")R" + set_state + _text(MARK) + b"b"


def _hooks(module: str, name: str) -> bytes:
    """As the function by which torch builds a tensor of a class of its own."""
    inner = _name(module, name) + _name("torch", "Tensor") + _text(MARK) + b"\x85" + b"}"
    return _name("torch._tensor", "_rebuild_from_type_v2") + b"(" + inner + b"tR"


def _persistent(module: str, name: str) -> bytes:
    """As the type of a storage."""
    return b"(" + _text("storage") + _name(module, name) + _text(MARK) + _text("cpu") + b"K\x01tQ"


FORMS: Mapping[str, Callable[[str, str], bytes]] = {
    "reduce": _reduce,
    "inst": _inst,
    "obj": _obj,
    "new": _new,
    "stack global": _stack_global,
    "build": _build,
    "hooks": _hooks,
    "persistent": _persistent,
}


def write_pickle(gadget: bytes, protocol: int = 2) -> bytes:
    """A mapping that has the gadget's object beside a whole number, as weights would be."""
    return b"\x80" + bytes([protocol]) + b"}" + _text("best") + gadget + b"s" + b"."


def _in_zip(payload: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    return packed.getvalue()


def _in_stream(place: int) -> Callable[[bytes], bytes]:
    """torch's older format: magic number, protocol, system, object and the keys of storages, each a pickle."""

    def pack(payload: bytes) -> bytes:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system, {}, [])]
        parts[place] = payload
        return b"".join(parts)

    return pack


CONTAINERS: Mapping[str, Callable[[bytes], bytes]] = {
    "pickle": lambda payload: payload,
    "zip": _in_zip,
    "stream, object": _in_stream(3),
    "stream, keys": _in_stream(4),
    "stream, system": _in_stream(2),
    "stream, magic": _in_stream(0),
    "stream, protocol": _in_stream(1),
}


def _torch_file(value: object) -> bytes:
    packed = io.BytesIO()
    torch.save(value, packed)
    return packed.getvalue()


SOUND = {"w": torch.arange(16.0)}


def _rewrite(edit: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """torch's archive with some of its records changed, all checksums right."""
    with zipfile.ZipFile(io.BytesIO(_torch_file(SOUND))) as source:
        records = {name: source.read(name) for name in source.namelist()}
    edit(records)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, record in records.items():
            archive.writestr(name, record)
    return packed.getvalue()


def _evil() -> bytes:
    return write_pickle(_reduce("posix", "system"))


def _twice() -> bytes:
    """A second data.pkl: one reader takes the first, another the last."""
    packed = io.BytesIO(_torch_file(SOUND))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("archive/data.pkl", _evil())  # zipfile warns of the name that is there already.
    return packed.getvalue()


def _in_tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            info = tarfile.TarInfo(name)
            info.size = len(_evil())
            archive.addfile(info, io.BytesIO(_evil()))
    return packed.getvalue()


def _in_npy() -> bytes:
    packed = io.BytesIO()
    np.lib.format.write_array_header_1_0(packed, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    return packed.getvalue() + _evil()


def _in_npz() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("weights.npy", _in_npy())
    return packed.getvalue()


def _safetensors(header: bytes, data: bytes = bytes(64), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _patch(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def _patch_directory(offset: int, new: bytes) -> bytes:
    """A field of the central directory's first entry."""
    content = _torch_file(SOUND)
    return _patch(content, content.index(b"PK\x01\x02") + offset, new)


def _patch_end(offset: int, new: bytes) -> bytes:
    content = _torch_file(SOUND)
    return _patch(content, content.rindex(b"PK\x05\x06") + offset, new)


def _deep() -> bytes:
    return b"\x80\x02" + b"(" * 200_000 + b"t" * 200_000 + b"."


def _wide() -> bytes:
    """A few bytes that ask for a list of 2³¹ entries' memo."""
    return b"\x80\x02]r\xff\xff\xff\x7f."


def _entry(text: str) -> bytes:
    return _safetensors(text.encode())


def _set(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda records: records.__setitem__(f"archive/{name}", content)


def _tensor(begin: int, end: int, shape: str = "[16]", kind: str = "F32") -> str:
    return f'{{"w": {{"dtype": "{kind}", "shape": {shape}, "data_offsets": [{begin}, {end}]}}}}'


MALFORMED: Mapping[str, Callable[[], bytes]] = {
    "two data.pkl": _twice,
    "data.pkl of a stranger": lambda: _rewrite(_set("data.pkl", _evil())),
    "deflated": lambda: _rewrite(lambda records: None, zipfile.ZIP_DEFLATED),
    "bzip2": lambda: _rewrite(lambda records: None, zipfile.ZIP_BZIP2),
    "lzma": lambda: _rewrite(lambda records: None, zipfile.ZIP_LZMA),
    "bomb of zeros": lambda: _rewrite(_set("data/1", bytes(1 << 26)), zipfile.ZIP_DEFLATED),
    "TorchScript": lambda: _rewrite(_set("constants.pkl", _evil())),
    "TorchScript with code": lambda: _rewrite(_set("code/__torch__.py", b"import os\nos.system('battery-mark')\n")),
    "no data.pkl": lambda: _rewrite(lambda records: records.pop("archive/data.pkl")),
    "no storages": lambda: _rewrite(lambda records: records.pop("archive/data/0")),
    "short storage": lambda: _rewrite(_set("data/0", bytes(8))),
    "path out of the archive": lambda: _rewrite(_set("../../data.pkl", _evil())),
    "byte order of a stranger": lambda: _rewrite(_set("byteorder", b"battery-mark")),
    "encrypted": lambda: _patch_directory(8, b"\x01\x00"),
    "method unknown": lambda: _patch_directory(10, b"\x63\x00"),
    "wrong checksum": lambda: _patch_directory(16, b"\x00\x00\x00\x01"),
    "record larger than the file": lambda: _patch_directory(20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f"),
    "record elsewhere": lambda: _patch_directory(42, b"\xff\xff\xff\x7f"),
    "no directory": lambda: _patch_end(16, b"\xff\xff\xff\x7f"),
    "entries that are not there": lambda: _patch_end(8, b"\xff\x7f\xff\x7f"),
    "comment longer than the file": lambda: _patch_end(20, b"\xff\xff"),
    "cut off": lambda: _torch_file(SOUND)[:-300],
    "an empty zip": lambda: b"PK\x05\x06" + bytes(18),
    "tar": _in_tar,
    "gzip": lambda: gzip.compress(_evil()),
    "gzip of torch's": lambda: gzip.compress(_torch_file(SOUND)),
    "npy": _in_npy,
    "npz": _in_npz,
    "HDF5": lambda: b"\x89HDF\r\n\x1a\n" + _evil(),
    "joblib": lambda: b"ZF0x10" + _evil(),
    "nested too deep": _deep,
    "memo of 2^31": _wide,
    "protocol 255": lambda: write_pickle(_reduce("posix", "system"), 255),
    "opcode unknown": lambda: b"\x80\x02\xfe.",
    "pickle without an end": lambda: b"\x80\x02}",
    "stack that is empty": lambda: b"\x80\x02RRR.",
    "extension of copyreg": lambda: b"\x80\x02\x82\x01" + _text(MARK) + b"\x85R.",
    "frame beyond the end": lambda: b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"}.",
    "bytes of 2^40": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"a.",
    "text of 2^31": lambda: b"\x80\x02X" + struct.pack("<I", 0x7FFFFFFF) + b"a.",
    "safetensors, header beyond the file": lambda: _safetensors(b"{}", length=1 << 26),
    "safetensors, header of 2^63": lambda: _safetensors(b'{"w": 1}', length=1 << 63),
    "safetensors, no JSON": lambda: _entry("{w}"),
    "safetensors, a list": lambda: _safetensors(b"[]      "),
    "safetensors, a pickle inside": lambda: _safetensors(b"{" + _evil()),
    "safetensors, nested too deep": lambda: _entry('{"a":' * 50_000 + "1" + "}" * 50_000),
    "safetensors, offsets that go back": lambda: _entry(_tensor(64, 0)),
    "safetensors, negative offsets": lambda: _entry(_tensor(-64, 0)),
    "safetensors, offsets beyond the file": lambda: _entry(_tensor(0, 1 << 40, "[274877906944]")),
    "safetensors, shape that overflows": lambda: _entry(_tensor(0, 64, "[4294967296, 4294967296, 16]")),
    "safetensors, negative shape": lambda: _entry(_tensor(0, 64, "[-16]")),
    "safetensors, unknown type": lambda: _entry(_tensor(0, 64, kind="PYOBJ")),
    "safetensors, the same name twice": lambda: _entry(_tensor(0, 64)[:-1] + ", " + _tensor(0, 64)[1:]),
    "safetensors, bytes that nothing has": lambda: _entry(_tensor(0, 32, "[8]")),
    "nothing": lambda: b"",
    "one byte": lambda: b"\x80",
    "zeros": lambda: bytes(4096),
    "a program": lambda: b"#!/bin/sh\necho battery-mark\n",
    "ELF": lambda: b"\x7fELF" + bytes(64),
    "a web page": lambda: b"<html>battery-mark</html>",
    "Keras": lambda: _rewrite(_set("config.json", b'{"class_name": "Lambda", "config": "battery-mark"}')),
}
"""None of them has weights of a network."""


def write_gadget(path: Path, gadget: tuple[str, str], form: str, container: str) -> None:
    """A checkpoint with a gadget; `form` and `container` are keys of `FORMS` and `CONTAINERS`."""
    protocol = 4 if form == "stack global" else 2
    path.write_bytes(CONTAINERS[container](write_pickle(FORMS[form](*gadget), protocol)))
