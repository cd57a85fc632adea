"""`FILE.py:CALLABLE`: a network of the user's own, whose images are prepared like those of another reference."""

from pathlib import Path

from seatrial.errors import SeatrialError
from seatrial.models.build import build_network, sketch_network
from seatrial.models.python_file import hash_code, split_name
from seatrial.models.sources.card import Draft
from seatrial.models.user_code import contain
from seatrial.recipes.schema import Network

IMAGES = 2
"""To count classes with: what trains, as BatchNorm may, takes no single one."""
OF_THE_NETWORK = ("network", "weights", "reference", "published", "guide", "paper", "labels")
"""What a card says of its network and not of how images are prepared."""


def make_draft(name: str, like: Draft) -> Draft:
    """The card of the network that CALLABLE of FILE.py gives, with the preprocessing of `like`.

    The file is run, and the network is run once on torch's meta device to count its classes.

    Raises:
        UsageError: there is no such file or function, or what it gives is no classifier.
    """
    path, function = split_name(name)
    absolute = f"{path.resolve()}:{function}"
    draft = Draft(name)
    draft.take_over(like, OF_THE_NETWORK)
    digest = hash_code(path)
    title = f"{function} of {path.name}, its images like those of {like.reference}"
    draft.put_head(f"{path.stem}.{function}", title, str(path.resolve()))
    network = Network(builder="python", name=absolute, classes=1, sha256=digest)
    card = like.read()
    classes = _count_classes(network, (card.channels, *card.input_size))
    draft.put_all("network", builder="python", name=absolute)
    draft.put("network.classes", classes, "what the network gives for an image")
    draft.put("network.sha256", digest, "of the file and those beside it that it imports; their code is run")
    of_like = like.values.get("labels")
    if of_like and card.network.classes == classes:
        draft.put("labels", of_like, f"of {like.reference}, which has as many classes")
    return draft


def _count_classes(network: Network, shape: tuple[int, int, int]) -> int:
    """What the network gives for an image of this shape: channels, height, width."""
    import torch

    from seatrial.models.forward import Float32Only, check_logits, check_weights, refuse_images

    name = Path(network.name).name
    images = torch.zeros(IMAGES, *shape)
    built = sketch_network(network).eval()
    check_weights(name, built)
    try:
        on_meta = images.to("meta")
        with contain(), Float32Only(name, on_meta), torch.inference_mode():
            logits = built(on_meta)
    except SeatrialError:
        raise
    except (Exception, SystemExit):  # What reads values cannot run without any.
        built = build_network(network).eval()
        fix = "mend its forward, or give --image-size or another --like (for one channel a card with grey images)"
        with refuse_images(name, images.shape, fix), Float32Only(name, images), torch.inference_mode():
            logits = built(images)
    return check_logits(name, logits, IMAGES)
