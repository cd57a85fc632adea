"""Drafts cards of the image classifiers of Ascend's ModelZoo-PyTorch, and counts what was read of their guides.

    python benchmarks/import_guides.py CHECKOUT > benchmarks/results/import_guides.txt

CHECKOUT is a working tree of the repository at commit 6a2804a; only `ACL_PyTorch/contrib/cv/classfication` (their
spelling) and `ACL_PyTorch/built-in/cv` are looked at. A reference counts as built where its network is built on torch's
meta device with the classes of its library.
"""

import argparse
import traceback
from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.guides import DraftedCard, draft_card
from seatrial.models.build import sketch_network
from seatrial.models.sources import resolve_recipe

CONTRIBUTED, BUILT_IN = "ACL_PyTorch/contrib/cv/classfication", "ACL_PyTorch/built-in/cv"
NO_CLASSIFIERS = [
    "3d_resnets", "BMN", "C3D", "Efficient-3DCNNs", "GaitSet", "GloRe", "LResNet100E-IR", "MaskRcnn", "OSNet",
    "PAMTRI", "PointNet", "PointNetCNN", "Pointnetplus", "R(2+1)D", "RARE_MobileNetV3", "ReID_for_Pytorch",
    "Starnet_Resnet34", "TimeSformer", "Video-Swin-Transformer", "ch_ppocr_mobile_v2.0_cls",
]  # fmt: skip
"""Of the contributed folders: video, faces, points, text, detection."""
CLASSIFIERS = [
    "DPN131_for_Pytorch", "Densenet121_Pytorch_Infer", "EfficientNetV2_for_Pytorch",
    "EfficientNetV2_for_Pytorch_poc", "EfficientNet_b7_for_Pytorch", "EfficientNet_for_Pytorch",
    "GoogleNet_for_Pytorch", "InceptionV3_for_Pytorch", "InceptionV4_for_Pytorch", "MobileNetV2_for_Pytorch",
    "MobileNetV3_for_Pytorch", "Res2Net_v1b_101_for_PyTorch", "ResNeXt50_for_Pytorch", "Resnet101_Pytorch_Infer",
    "Resnet18_for_PyTorch", "Resnet34_for_Pytorch", "Resnet50_Pytorch_Infer", "Resnet50_Pytorch_Infer_poc",
    "Resnet50_mlperf", "SCNet", "SE_ResNet50_Pytorch_Infer", "Shufflenetv2_for_Pytorch",
    "SwinTransformer_for_Pytorch", "Twins-SVT-L", "Wide_ResNet50_2_for_Pytorch", "resnet50_mmlab_for_pytorch",
    "resnet50_mmlab_for_pytorch_for_POC",
]  # fmt: skip
"""Of the built-in folders: those of image classifiers with one label."""


def list_folders(checkout: Path) -> list[Path]:
    """The folders that are measured on."""
    contributed = [path for path in (checkout / CONTRIBUTED).iterdir() if path.is_dir()]
    chosen = [path for path in contributed if path.name not in NO_CLASSIFIERS]
    return [*sorted(chosen), *(checkout / BUILT_IN / name for name in CLASSIFIERS)]


def count_parameters(reference: str) -> int | None:
    """How many a reference's network has; None where it does not build."""
    try:
        network = sketch_network(resolve_recipe(reference).network)
    except SeatrialError:
        return None
    return sum(parameter.numel() for parameter in network.parameters())


def describe(name: str, card: DraftedCard, parameters: int | None) -> str:
    """A row of the table."""
    kind = card.reference or ("own code" if card.proposed else "-")
    size = f"{parameters:,}" if parameters else "-"
    steps = "complete" if card.complete else "incomplete"
    return f"{name:36} {steps:11} {kind:36} {size:>13} {len(card.contradictions):>3}"


def main() -> None:
    """Print the table and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    folders = list_folders(parser.parse_args().checkout)
    print("import_guides.py, Ascend/ModelZoo-PyTorch at 6a2804a: folders, and what was read of them as text")
    print(f"{'folder':36} {'steps':11} {'network':36} {'parameters':>13} contradictions")
    cards: list[tuple[DraftedCard, int | None]] = []
    failed = 0
    for folder in folders:
        try:
            card = draft_card(folder)
        except Exception:  # A traceback is what this counts.
            failed += 1
            traceback.print_exc()
            continue
        parameters = count_parameters(card.reference) if card.reference else None
        cards.append((card, parameters))
        print(describe(folder.name, card, parameters))
    print()
    print(f"{len(folders)} folders, {failed} tracebacks")
    print(f"preprocessing complete: {sum(card.complete for card, _ in cards)}")
    for kind in ("timm", "torchvision"):
        built = [card for card, found in cards if found and (card.reference or "").startswith(kind)]
        print(f"named as a {kind} reference that builds: {len(built)}")
    print(
        f"proposed as a file and callable of its own repository: {sum(card.proposed is not None for card, _ in cards)}"
    )
    named = sum(card.reference is None and card.proposed is None for card, _ in cards)
    print(f"network not found: {named}")
    wrong = [claim for card, _ in cards for claim in card.contradictions]
    computed = sum(claim.recomputed for claim in wrong)
    print(f"contradictions: {len(wrong)}, of them {computed} figures of tables and text that are wrong")


if __name__ == "__main__":
    main()
