from pathlib import Path

import pytest

from class_cards import make_recipe
from run_folder import Trial, build_run
from seatrial.data.labels import read_labels
from seatrial.errors import DataError, UsageError
from seatrial.models.sources import ResolvedCard, resolve_card
from seatrial.progress import Update, silent
from seatrial.store.files import hash_file
from seatrial.store.training import TrainingRecord
from seatrial.workflow.class_names import find_trained_names, name_by_set, name_trained

CARD = """\
# A comment that stays.
name = "mine"
title = "Mine"
[network]
name = "test_resnet"
classes = 2
[[preprocess]]
step = "resize"
size = [32, 32]
[[preprocess]]
step = "to_float"
[train]
epochs = 3
"""
JPEG = b"\xff\xd8\xff"


@pytest.fixture
def card(tmp_path: Path) -> ResolvedCard:
    (tmp_path / "mine.toml").write_text(CARD)
    return resolve_card(str(tmp_path / "mine.toml"))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> TrainingRecord:
    run = build_run(tmp_path_factory.mktemp("trained") / "run", Trial(trained=True))
    return TrainingRecord.load(run / "train" / "train.json")


def train(folder: Path, record: TrainingRecord, *names: str) -> Path:
    """A checkpoint, and the record of a training of classes of these names."""
    checkpoint = folder / "checkpoint.safetensors"
    checkpoint.write_bytes(b"weights")
    own = {"class_names": names, "checkpoint_sha256": hash_file(checkpoint)}
    record.model_copy(update=own).save(folder / "train.json")
    return checkpoint


def draw(folder: Path, *classes: str) -> Path:
    for name in classes:
        (folder / name).mkdir(parents=True)
        (folder / name / "1.jpg").write_bytes(JPEG)
    return folder


def test_the_names_of_a_training_are_those_of_its_own_checkpoint_alone(record: TrainingRecord, tmp_path: Path) -> None:
    checkpoint = train(tmp_path, record, "cat", "dog")
    assert find_trained_names(checkpoint) == ("cat", "dog")
    checkpoint.write_bytes(b"other weights")
    assert find_trained_names(checkpoint) == find_trained_names(tmp_path / "gone.pth") == find_trained_names(None) == ()
    (tmp_path / "train.json").write_text("{")
    assert find_trained_names(checkpoint) == ()


def test_a_card_that_has_the_names_of_the_training_in_another_order_is_refused(
    card: ResolvedCard, record: TrainingRecord, tmp_path: Path
) -> None:
    checkpoint = train(tmp_path, record, "cat", "dog")
    for names in (("cat", "dog"), ("Katze", "Hund")):
        assert name_trained(card.name_classes(names, ""), checkpoint).recipe.labels.names == names
    with pytest.raises(UsageError, match=r"class 0 of \S+ was trained as 'cat' .*, and card mine calls it 'dog'"):
        name_trained(card.name_classes(("dog", "cat"), ""), checkpoint)


def test_a_card_without_names_takes_those_of_the_folders(card: ResolvedCard, tmp_path: Path) -> None:
    notes: list[Update] = []
    images = draw(tmp_path / "val", "it's\x1b 猫", 'a, "b"')
    labelled = read_labels(images, None, card.recipe)
    named = name_by_set(card, labelled, notes.append)
    assert named.recipe.labels.names == ('a, "b"', "it's\x1b 猫")
    assert [image.label for image in labelled] == [0, 1]
    assert [note.note for note in notes] == ["the class folders name the classes, as the card does not"]
    # The text is a card that says the same.
    (tmp_path / "again.toml").write_text(named.text)
    assert resolve_card(str(tmp_path / "again.toml")).recipe == named.recipe
    assert "# A comment that stays." in named.text


def test_the_names_of_the_training_go_before_and_number_the_folders(
    card: ResolvedCard, record: TrainingRecord, tmp_path: Path
) -> None:
    checkpoint = train(tmp_path, record, "dog", "cat")
    named = name_trained(card, checkpoint)
    labelled = read_labels(draw(tmp_path / "val", "cat", "dog"), None, named.recipe)
    assert name_by_set(named, labelled, silent) is named
    assert named.recipe.labels.names == ("dog", "cat")
    assert {image.id: image.label for image in labelled} == {"cat/1.jpg": 1, "dog/1.jpg": 0}
    with pytest.raises(DataError, match="class folders are none of the card's classes"):
        read_labels(draw(tmp_path / "other", "cat", "cow"), None, named.recipe)


def test_a_card_keeps_its_own_names_and_takes_none_of_another_number(card: ResolvedCard) -> None:
    own = ResolvedCard(make_recipe(["a", "b"], 2), "")
    assert own.name_classes(["c", "d"], "elsewhere") is own
    assert card.name_classes(["c", "d", "e"], "elsewhere") is card and card.name_classes((), "elsewhere") is card
