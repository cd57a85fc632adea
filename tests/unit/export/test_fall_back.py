"""A network that one exporter cannot export goes to the other, and this is said; what suits none is refused."""

from pathlib import Path

import pytest
import torch

from seatrial.errors import EngineError, UsageError
from seatrial.export.spec import ExportSpec, check_opset
from seatrial.models.reading import CheckpointReading
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Update
from seatrial.recipes import Recipe
from seatrial.store.records import CheckpointManifest
from seatrial.workflow.export import export_checkpoint

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.head = nn.Linear(12, classes)

    def forward(self, images):
        return self.head(nn.functional.adaptive_avg_pool2d(images, 2).flatten(1))


class OnlyDynamo(Net):
    def forward(self, images):
        if torch.jit.is_tracing():
            raise KeyError("traced\\nand a page more")
        return super().forward(images)


class Neither(OnlyDynamo):
    def forward(self, images):
        if torch.compiler.is_exporting():
            raise KeyError("exported")
        return super().forward(images)


class Small(Net):
    def forward(self, images):
        assert images.shape[-1] <= 32 or images.device.type == "meta", "too large"
        return super().forward(images)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def resolve(nets: Path, name: str, size: int = 32) -> Recipe:
    return resolve_recipe(f"{nets}:{name}", size, "timm:test_resnet.r160_in1k")


def save(folder: Path, prefix: str = "") -> Path:
    state = {"head.weight": torch.randn(3, 12), "head.bias": torch.zeros(3)}
    torch.save({f"{prefix}{key}": value for key, value in state.items()}, folder / "w.pth")
    return folder / "w.pth"


def test_the_other_exporter_is_taken_and_the_opset_is_what_it_wrote(nets: Path, tmp_path: Path) -> None:
    told: list[Update] = []
    spec = ExportSpec(opset=17, fall_back=True)
    made = export_checkpoint(resolve(nets, "OnlyDynamo"), save(tmp_path), tmp_path / "m.onnx", spec, [], told.append)
    assert (made.exporter, made.opset, made.requested_opset) == ("dynamo", 18, 17)
    (note,) = [update.note for update in told if "dynamo exported it" in (update.note or "")]
    assert (
        note == "exporter torchscript failed at opset 17 ('traced\\nand a page more'); dynamo exported it at opset 18"
    )
    again = export_checkpoint(resolve(nets, "OnlyDynamo"), tmp_path / "w.pth", tmp_path / "m.onnx", spec, [])
    assert again == made
    with pytest.raises(EngineError, match="exporter torchscript failed"):
        export_checkpoint(
            resolve(nets, "OnlyDynamo"), tmp_path / "w.pth", tmp_path / "n.onnx", ExportSpec(opset=17), []
        )


def test_what_neither_exports_names_both_reasons(nets: Path, tmp_path: Path) -> None:
    spec = ExportSpec(opset=17, fall_back=True)
    with pytest.raises(EngineError, match=r"torchscript failed .*; exporter dynamo failed .*; neither exporter takes"):
        export_checkpoint(resolve(nets, "Neither"), save(tmp_path), tmp_path / "m.onnx", spec, [])
    assert not (tmp_path / "m.onnx").exists()


def test_a_network_that_does_not_run_on_such_images_is_refused_in_one_line(nets: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'.*nets\.py:Small' does not run on 2 images of 64 × 64 .too large.; give another"
    ):
        export_checkpoint(resolve(nets, "Small", 64), save(tmp_path), tmp_path / "m.onnx", ExportSpec(opset=17), [])


def test_another_number_of_classes_is_refused(nets: Path, tmp_path: Path) -> None:
    recipe = resolve(nets, "Net")
    network = recipe.network.model_copy(update={"classes": 5})
    with pytest.raises(UsageError, match="gives 3 numbers for an image, its card has 5 classes"):
        export_checkpoint(
            recipe.model_copy(update={"network": network}), save(tmp_path), tmp_path / "m.onnx", ExportSpec(17), []
        )


def test_another_reading_of_the_same_file_is_read_again(nets: Path, tmp_path: Path) -> None:
    state = {"a.head.weight": torch.randn(3, 12), "a.head.bias": torch.zeros(3)}
    torch.save(state | {key.replace("a.", "b."): 2 * value for key, value in state.items()}, tmp_path / "w.pth")
    keys = set()
    for prefix in ("a.", "b.", "a."):
        spec = ExportSpec(opset=17, reading=CheckpointReading(prefix=prefix))
        export_checkpoint(resolve(nets, "Net"), tmp_path / "w.pth", tmp_path / "m.onnx", spec, [])
        found = CheckpointManifest.load(tmp_path / "m.safetensors.json")
        assert found.reading == {"prefix": prefix} and f"{prefix}, left out 2" in found.layout
        keys.add(found.sha256)
    assert len(keys) == 2


def test_an_opset_is_refused_where_no_exporter_that_may_be_taken_writes_it() -> None:
    with pytest.raises(UsageError, match="exporter torchscript writes opset 7 to 20, not 21") as raised:
        check_opset(ExportSpec(opset=21))
    assert raised.value.fix == "take --exporter dynamo"
    check_opset(ExportSpec(opset=21, fall_back=True))
    with pytest.raises(UsageError, match="not 99"):
        check_opset(ExportSpec(opset=99, fall_back=True))
