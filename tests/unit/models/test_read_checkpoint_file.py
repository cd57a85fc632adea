"""Formats are told apart by their bytes, old ones load without trust, and files that lie about themselves do not."""

import argparse
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.layouts import find_state
from seatrial.models.read_file import Content, read_content

WEIGHTS = {"w": torch.arange(16.0)}


def save_zip(value: Any, path: Path) -> None:
    torch.save(value, path)


def save_pickle(value: Any, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("save", "kind"), [(save_zip, "torch zip"), (save_pickle, "torch pickle"), (save_file, "safetensors")]
)
def test_the_suffix_does_not_matter(save: Callable[[Any, Path], None], kind: str, tmp_path: Path) -> None:
    for name in ("a.pth.tar", "a.safetensors", "a"):
        save(WEIGHTS, tmp_path / name)
        content = read_content(tmp_path / name)
        assert content.format == kind
        assert torch.equal(content.value["w"], WEIGHTS["w"])


@pytest.mark.parametrize("save", [save_zip, save_pickle])
def test_what_old_training_loops_store_beside_the_weights_is_not_read(
    save: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    whole = {
        "state_dict": WEIGHTS,
        "args": argparse.Namespace(lr=0.1, best=np.float32(0.5)),
        "best": np.float64(77.54),
        "epoch": np.int64(90),
    }
    save(whole, tmp_path / "old.pth")
    value = read_content(tmp_path / "old.pth").value
    assert torch.equal(value["state_dict"]["w"], WEIGHTS["w"])
    assert not any(isinstance(value[key], argparse.Namespace | np.generic) for key in ("args", "best", "epoch"))


def test_numpy_scalars_of_older_numpy_load_too(tmp_path: Path) -> None:
    save_pickle({"state_dict": WEIGHTS, "best": np.float64(77.54)}, tmp_path / "new.pth")
    content = (tmp_path / "new.pth").read_bytes()
    assert b"numpy._core.multiarray" in content
    (tmp_path / "old.pth").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert torch.equal(read_content(tmp_path / "old.pth").value["state_dict"]["w"], WEIGHTS["w"])


@pytest.mark.parametrize(
    "value", [{"a": np.zeros(2)}, {"a": Path("x")}, {"a": Content}], ids=["array", "path", "class"]
)
def test_anything_else_is_refused_by_its_name(value: Any, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(RefusedFile, match=r"would run '(numpy\.\S+_reconstruct|pathlib\.\w+|\S*read_file\.Content)'"):
        read_content(tmp_path / "a.pth")


def rewrite(path: Path, edit: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Change records of a torch archive and give them right checksums."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as source, zipfile.ZipFile(path, "w", compression) as target:
        for name in source.namelist():
            target.writestr(name, edit(name, source.read(name)))


def shorten(name: str, record: bytes) -> bytes:
    return record[:32] if name.endswith("data/0") else record


def claim_longer_storage(name: str, record: bytes) -> bytes:
    return record.replace(b"K\x10tq", b"K\x20tq") if name.endswith("data.pkl") else record


def claim_larger_tensor(name: str, record: bytes) -> bytes:
    return record.replace(b"QK\x00K\x10\x85", b"QK\x00K\x20\x85") if name.endswith("data.pkl") else record


def claim_offset(name: str, record: bytes) -> bytes:
    return record.replace(b"QK\x00K\x10\x85", b"QK\x08K\x10\x85") if name.endswith("data.pkl") else record


@pytest.mark.parametrize("edit", [shorten, claim_longer_storage, claim_larger_tensor, claim_offset])
def test_storages_must_have_the_bytes_that_tensors_need(edit: Callable[[str, bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(WEIGHTS, path)
    before = path.read_bytes()
    rewrite(path, lambda _, record: record)
    assert torch.equal(read_content(path).value["w"], WEIGHTS["w"])
    path.write_bytes(before)
    rewrite(path, edit)
    with pytest.raises(RefusedFile, match="is cut off, damaged or not only weights"):
        read_content(path)


def test_every_flipped_bit_of_a_weight_is_found_where_torch_finds_none(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(WEIGHTS, path)
    clean = path.read_bytes()
    start = clean.index(WEIGHTS["w"].numpy().tobytes())
    for bit in range(0, 16 * 32, 5):
        content = bytearray(clean)
        content[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        assert not torch.equal(torch.load(path)["w"], WEIGHTS["w"])
        with pytest.raises(RefusedFile, match="the checksum of its record 'a/data/0' is wrong"):
            read_content(path)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.zeros(1_000_000)}, path)
    rewrite(path, lambda _, record: record, zipfile.ZIP_DEFLATED)
    with pytest.raises(RefusedFile, match="is compressed or overlaps itself"):
        read_content(path)


@pytest.mark.parametrize("save", [save_zip, save_pickle, save_file])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_every_format_cut_off_is_refused(save: Callable[[Any, Path], None], share: float, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    save({"w": torch.ones(500)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        RefusedFile, match=r"is cut off, damaged or not only weights \(.+\); fetch the file again"
    ) as raised:
        read_content(path)
    assert "weights_only" not in str(raised.value)


def mutate(clean: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, cut off, put in or taken out."""
    content, place = bytearray(clean), dice.randrange(len(clean))
    match dice.choice(("change", "change", "cut", "put", "take")):
        case "change":
            for _ in range(dice.choice((1, 4))):
                content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
        case "cut":
            del content[place:]
        case "put":
            content[place:place] = dice.randbytes(dice.randrange(1, 40))
        case "take":
            del content[place : place + dice.randrange(1, 40)]
    return bytes(content)


@pytest.mark.parametrize("save", [save_zip, save_pickle, save_file])
def test_random_damage_is_refused_in_one_line_or_harmless(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    path, dice, refused = tmp_path / "a.pth", random.Random(1), 0
    save(WEIGHTS, path)
    clean = path.read_bytes()
    for _ in range(200):
        path.write_bytes(mutate(clean, dice))
        try:
            state, _layout = find_state(read_content(path), path)
        except RefusedFile as error:
            refused += 1
            assert "\n" not in str(error)
        else:  # without a checksum a changed weight cannot be told from a right one
            assert save is not save_zip or torch.equal(state["w"], WEIGHTS["w"])
    assert refused > 100


def test_torchscript_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(RefusedFile, match="is a TorchScript program, not weights"):
        read_content(path)


def test_tar_archives_are_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "a.pth.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"))
    with pytest.raises(RefusedFile, match="is a tar archive; torch's own from before 2017"):
        read_content(path)


def test_newer_pickle_protocols_are_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(WEIGHTS, path, pickle_protocol=4)
    with pytest.raises(RefusedFile, match="protocol 4, objects of its own"):
        read_content(path)


def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    save_pickle(WEIGHTS, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    assert content.count(b"K\x10Ntq") == 1
    (tmp_path / "a.pth").write_bytes(content.replace(b"K\x10Ntq", b"\x8a\x06" + (2**45).to_bytes(6, "little") + b"Ntq"))
    with pytest.raises(RefusedFile, match="is cut off, damaged or not only weights"):
        read_content(tmp_path / "a.pth")


def test_tensors_come_to_host_memory(tmp_path: Path) -> None:
    save_pickle(WEIGHTS, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:3")
    (tmp_path / "a.pth").write_bytes(content)
    value: Tensor = read_content(tmp_path / "a.pth").value["w"]
    assert value.device.type == "cpu" and torch.equal(value, WEIGHTS["w"])


@pytest.mark.parametrize("length", [int.from_bytes(b"\x80\x02", "little"), int.from_bytes(b"PK", "little")])
def test_a_safetensors_length_that_looks_like_another_format(length: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    header = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    path.write_bytes(length.to_bytes(8, "little") + header + b"\x00\x00\x80\x3f")
    found = read_content(path)
    assert found.format == "safetensors" and found.value["weight"].item() == 1.0
