"""Checksums at hand: a checkpoint whose manifest, training, name or card states another one is refused."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.checkpoint import LoadedCheckpoint, load_checkpoint, store_checkpoint
from seatrial.models.known_hash import check_known
from seatrial.progress import Update
from seatrial.recipes.schema import Recipe, Weights
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.measurement import Environment
from seatrial.store.records import CheckpointManifest
from seatrial.store.training import TrainingRecord
from seatrial.workflow.export import keep_weights, read_weights

State = dict[str, Tensor]
MACHINE = Environment(cpu="c", cpu_flags=(), cores=1, memory_bytes=1, system="s", python="3", versions={})


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.unlink()
    path.write_bytes(data)


@pytest.fixture
def stored(tiny: Recipe, tiny_state: State, tmp_path: Path) -> Path:
    """Weights in canonical form, with our manifest beside them."""
    torch.save(tiny_state, tmp_path / "source.pth")
    path = tmp_path / "stored" / "checkpoint.safetensors"
    store_checkpoint(load_checkpoint(tmp_path / "source.pth", tiny), path)
    return path


def test_every_flip_beside_a_manifest_is_refused(stored: Path, tiny: Recipe) -> None:
    whole, bits = stored.read_bytes(), 8 * stored.stat().st_size
    for step in range(60):
        flip(stored, (step * bits // 60) + step % 8)
        with pytest.raises(RefusedFile):
            load_checkpoint(stored, tiny)
        stored.write_bytes(whole)
    assert load_checkpoint(stored, tiny).manifest.parameters == 373658


def test_a_flipped_weight_beside_its_trainings_record_is_refused(
    tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file(tiny_state, path)
    record = TrainingRecord(
        key="k", recipe="trial", checkpoint=path.name, checkpoint_sha256=hash_file(path), settings={}, precision="fp32",
        epochs=(), environment=MACHINE,
    )  # fmt: skip
    record.save(tmp_path / "train.json")
    assert load_checkpoint(path, tiny).manifest.published is None
    flip(path, 8 * path.stat().st_size - 3)
    with pytest.raises(RefusedFile, match=r"is not the file that its training left \(train\.json\): checksum mismatch"):
        load_checkpoint(path, tiny)
    shutil.copy(path, tmp_path / "other.safetensors")
    load_checkpoint(tmp_path / "other.safetensors", tiny)


@pytest.mark.parametrize("text", ["{}", "no json", '{"schema": "another/tool/1"}', '{"weight_map": {}}'])
def test_files_of_other_tools_under_these_names_are_nobodys_business(
    text: str, tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file(tiny_state, path)
    manifest_path(path).write_text(text)
    (tmp_path / "train.json").write_text(text)
    assert load_checkpoint(path, tiny).manifest.published is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("tiny-{right}.pth", "whole"),
        ("tiny-{right}.pth.tar", "whole"),
        ("tiny-0bad1dea.pth", "refused"),
        ("tiny-0bad1dea.pt", "refused"),
        ("tiny-20260131.pth", "whole"),
        ("tiny-0bad1dea.safetensors", "whole"),
        ("tiny-0bad1dea-tuned.pth", "whole"),
        ("mine-0bad1dea.pth", "whole"),
        ("0bad1dea.pth", "whole"),
    ],
)
def test_a_name_that_ends_in_a_checksum_is_held_to_it(
    name: str, code: str, tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    torch.save(tiny_state, tmp_path / "source.pth")
    path = tmp_path / name.format(right=hash_file(tmp_path / "source.pth")[:8])
    (tmp_path / "source.pth").rename(path)
    card = tiny.model_copy(update={"weights": Weights(file="tiny-5ea51de5.pth")})
    if code == "whole":
        assert load_checkpoint(path, card).manifest.published is None
        assert load_checkpoint(path, tiny).manifest.published is None
    else:
        with pytest.raises(
            RefusedFile, match=r"is not the file that its name states: its sha256 begins with [0-9a-f]{8};"
        ):
            load_checkpoint(path, card)
        assert load_checkpoint(path, tiny).manifest.published is None, "where the card's file has no such name"


@pytest.mark.parametrize("kind", ["md5", "sha256", "sha256_prefix"])
def test_the_cards_checksum_tells_published_weights_from_others(
    kind: str, tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    own = tmp_path / "own.pth"
    torch.save(tiny_state, own)
    digest = {"md5": hashlib.md5(own.read_bytes(), usedforsecurity=False).hexdigest(), "sha256": hash_file(own)}
    digest["sha256_prefix"] = digest["sha256"][:8]

    def card(value: str, file: str = "weights.pth") -> Recipe:
        return tiny.model_copy(update={"weights": Weights.model_validate({"file": file, kind: value})})

    assert load_checkpoint(own, card(digest[kind])).manifest.published is True
    other = ("1" if digest[kind][0] == "0" else "0") + digest[kind][1:]
    assert load_checkpoint(own, card(other)).manifest.published is False
    with pytest.raises(
        RefusedFile,
        match=r"own\.pth has the name of trial's published weights and another checksum than the card states; fetch it "
        r"again with `seatrial recipes fetch trial`; or give your own weights another name",
    ):
        load_checkpoint(own, card(other, "own.pth"))
    own.rename(tmp_path / "model_best.pth.tar")
    assert (
        load_checkpoint(tmp_path / "model_best.pth.tar", card(other, "model_best.pth.tar")).manifest.published is False
    )


def test_what_was_stored_from_published_weights_stays_published(
    tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    source, first = tmp_path / "source.pth", tmp_path / "first.safetensors"
    torch.save(tiny_state, source)
    card = tiny.model_copy(update={"weights": Weights(file="w.pth", sha256=hash_file(source))})
    assert store_checkpoint(load_checkpoint(source, card), first).published is True
    assert check_known(first, card).published is True
    CheckpointManifest.load(manifest_path(first)).model_copy(update={"recipe": "other"}).save(manifest_path(first))
    assert check_known(first, card).published is True


@pytest.mark.parametrize(
    ("kind", "source", "published"),
    [
        ("sha256", "w.pth", True),
        ("sha256_prefix", "w.pth", True),
        ("other", "w.pth", False),
        ("other", "earlier/checkpoint.safetensors", None),
        ("md5", "w.pth", None),
    ],
)
def test_what_an_older_version_stored_is_known_by_its_source(
    kind: str, source: str, published: bool | None, stored: Path, tiny: Recipe
) -> None:
    manifest = CheckpointManifest.load(manifest_path(stored))
    manifest.model_copy(update={"published": None, "source": source}).save(manifest_path(stored))
    sha256 = manifest.source_sha256
    stated = {"sha256": sha256, "sha256_prefix": sha256[:8], "md5": "0" * 32, "other": "0" * 64}[kind]
    weights = Weights.model_validate({"file": "w.pth", "sha256" if kind == "other" else kind: stated})
    assert check_known(stored, tiny.model_copy(update={"weights": weights})).published is published


def test_a_fresh_run_reads_the_checkpoint_twice(
    tiny: Recipe, tiny_state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, opened = tmp_path / "own.pth", tmp_path / "out" / "checkpoint.safetensors", []
    torch.save(tiny_state, source)
    own = Path.open

    def count(path: Path, mode: str = "r", *rest: object, **options: object) -> object:
        opened.append(path)
        return own(path, mode, *rest, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", count)
    weights = read_weights(tiny, source, output)
    stored = keep_weights(weights, source, output)
    assert opened.count(source) <= 2, "once for its checksums, once for its weights"
    assert isinstance(weights, LoadedCheckpoint)
    assert stored.source_sha256 == weights.manifest.source_sha256 == hash_file(source)


def test_own_weights_whose_name_ends_like_a_checksum_are_only_told_of(
    tiny: Recipe, tiny_state: State, tmp_path: Path
) -> None:
    updates: list[Update] = []
    torch.save(tiny_state, tmp_path / "mine-0bad1dea.pth")
    keep_weights(
        read_weights(tiny, tmp_path / "mine-0bad1dea.pth", tmp_path / "c.safetensors"),
        tmp_path / "mine-0bad1dea.pth",
        tmp_path / "c.safetensors",
        updates.append,
    )
    told = "mine-0bad1dea.pth does not have the checksum in its name; your own weights need not"
    assert told in [update.note for update in updates]
