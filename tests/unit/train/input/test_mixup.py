import pytest
import torch
from torchvision.transforms import v2

from seatrial.recipes.training import Train
from seatrial.train.input.mixup import make_mixing
from seatrial.train.train_step import Mixing

IMAGES = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 6).contiguous(memory_format=torch.channels_last)
LABELS = torch.tensor([2, 0, 1, 4])


def mix(**settings: float) -> Mixing:
    mixing = make_mixing(Train(**settings), 5)
    assert mixing is not None
    return mixing


def test_without_an_alpha_nothing_is_mixed() -> None:
    assert make_mixing(Train(), 5) is None


def test_mixup_mixes_neighbours_and_their_labels_by_one_share() -> None:
    torch.manual_seed(1)
    mixing = mix(mixup=1.0)
    images, soft = mixing(IMAGES, LABELS)
    assert images.is_contiguous(memory_format=torch.channels_last)
    share = float(soft[0, 2])
    assert 0 < share < 1
    for row in range(4):
        other = (row - 1) % 4
        torch.testing.assert_close(images[row], torch.full((3, 8, 6), share * row + (1 - share) * other))
        expected = torch.zeros(5)
        expected[LABELS[row]] += share
        expected[LABELS[other]] += 1 - share
        torch.testing.assert_close(soft[row], expected)


def test_cutmix_pastes_a_box_whose_area_is_the_labels_share() -> None:
    torch.manual_seed(3)
    images, soft = mix(cutmix=1.0)(IMAGES, LABELS)
    for row in range(4):
        pasted = (images[row, 0] == (row - 1) % 4).float().mean()
        assert set(images[row].unique().tolist()) <= {float(row), float((row - 1) % 4)}
        assert 0 < pasted < 1
        torch.testing.assert_close(soft[row, LABELS[row]], 1 - pasted)
        torch.testing.assert_close(soft[row, LABELS[(row - 1) % 4]], pasted)


def test_with_both_each_batch_has_one_of_them() -> None:
    torch.manual_seed(0)
    mixing = mix(mixup=0.2, cutmix=1.0)
    cut = sum(bool((mixing(IMAGES, LABELS)[0] % 1 == 0).all()) for _ in range(200))
    assert 70 <= cut <= 130


def test_the_shares_follow_from_alpha() -> None:
    # Beta(a, a) has the variance 1 / (4 (2a + 1)).
    torch.manual_seed(0)
    for alpha in (0.2, 4.0):
        mixing = mix(mixup=alpha)
        shares = torch.stack([mixing(IMAGES, LABELS)[1][0, 2] for _ in range(2000)])
        assert float(shares.mean()) == pytest.approx(0.5, abs=0.04)
        assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_torchs_seed_decides_as_for_torchvisions_own() -> None:
    mixing = mix(mixup=1.0, cutmix=1.0)
    torch.manual_seed(7)
    found = [mixing(IMAGES, LABELS) for _ in range(3)]
    torch.manual_seed(7)
    theirs = v2.RandomChoice([v2.MixUp(alpha=1.0, num_classes=5), v2.CutMix(alpha=1.0, num_classes=5)])
    for images, soft in found:
        repeated = theirs(IMAGES, LABELS)
        assert torch.equal(images, repeated[0]) and torch.equal(soft, repeated[1])
    assert len({images.numpy().tobytes() for images, _ in found}) == 3
