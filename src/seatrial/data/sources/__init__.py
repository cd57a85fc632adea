"""Where labelled images can come from: one function for folders, lists, bins, archives and packs."""

from pathlib import Path

from seatrial.data.archives.tar_index import COMPRESSED
from seatrial.data.images import ImageListing, PreparedInput
from seatrial.data.labels import count_names
from seatrial.data.sources.folders import read_folder
from seatrial.data.sources.lists import read_info_list, read_list
from seatrial.data.sources.pack_file import MAGIC
from seatrial.data.sources.packs import read_packed
from seatrial.data.sources.request import Request
from seatrial.data.sources.shards import expand_braces, read_shards
from seatrial.errors import DataError
from seatrial.progress import Progress, Update, silent

KINDS = (
    "images are given as a folder (of images, class folders, .bin files or .tar archives), a .tar or "
    "'shard-{000..012}.tar', a pack, an .info file, or a text file of paths"
)


def read_images(
    source: Path | str,
    labels: Path | None,
    classes: int,
    allow_partial: bool = False,
    expected: PreparedInput | None = None,
    progress: Progress = silent,
) -> ImageListing:
    """A labelled set in the order of its ids, whatever kind of source it is; no image is decoded.

    Args:
        classes: number of classes of the network.
        allow_partial: do without images that have a label but are not there; the listing and a note name them.
        expected: what the engine takes (`data.preprocessing.check_prepared.describe_input`): says what bins without a
            `bins.json` are.

    Raises:
        DataError: nothing there, none of the known kinds, names that do not agree, or classes that the network lacks.
        RefusedFile: an archive or a pack is damaged or unsafe.
    """
    request = Request(Path(source), labels, classes, allow_partial, expected, progress)
    listing = _read_kind(request)
    if listing.missing:
        missing = count_names("labelled images are not there", listing.missing)
        progress(Update("images", note=f"{missing}: {len(listing.images)} are taken"))
    return listing


def _read_kind(request: Request) -> ImageListing:
    source = request.source
    if source.is_dir():
        return read_folder(request)
    if "{" in str(source) and not source.exists():
        return read_shards(expand_braces(str(source)), request)
    head = _read_head(source)
    if head.startswith(MAGIC):
        return read_packed(request)
    if source.suffix == ".tar" or head[257:262] == b"ustar" or head.startswith(tuple(COMPRESSED)):
        return read_shards([source], request)
    if source.suffix == ".info":
        return read_info_list(request)
    if b"\0" not in head:
        return read_list(request)
    raise DataError(f"{source} is no source of images", KINDS)


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise DataError(f"images {path} cannot be read ({error.strerror})", KINDS) from None
