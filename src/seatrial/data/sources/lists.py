"""Images that a file lists: paths, one a line, or the guides' `.info` lines."""

from collections.abc import Mapping
from pathlib import Path

from seatrial.data.bins.info_file import read_info
from seatrial.data.images import UNLABELLED, ImageListing, LabelledImage
from seatrial.data.label_files import read_label_file, split_label_line
from seatrial.data.names import count_names, index_unique, read_text_lines
from seatrial.data.sources.bin_files import BIN, add_contents, find_form, name_bins_by_id
from seatrial.data.sources.request import PARTIAL, Request, label_images, require_labels
from seatrial.errors import DataError
from seatrial.foreign.files import is_regular
from seatrial.recipes.steps import Size


def read_list(request: Request) -> ImageListing:
    """Lines `PATH`, labelled by file name, or `PATH CLASS` where no label file is given; ids are then the paths.

    Relative paths are seen from the list's folder.

    Raises:
        DataError: a line of another form, a file that is not there, or labels that do not agree.
    """
    lines = [line.strip() for line in read_text_lines(request.source, "image list") if line.strip()]
    folder = request.source.parent
    if not lines:
        raise DataError(f"image list {request.source} is empty", "write a path in each line")
    if request.labels is not None:
        return _label_by_name([folder / line for line in lines], request)
    if request.unlabelled:
        texts = [_leave_out_class(line, folder) for line in lines]
        return _label({text: folder / text for text in texts}, dict.fromkeys(texts, UNLABELLED), request)
    by_path: dict[str, int] = {}
    for line in lines:
        pair = split_label_line(line)
        if pair is None:
            raise DataError(
                f"'{line[:80]}' of {request.source} is not `PATH CLASS`", "or give --labels FILE for plain paths"
            )
        if pair[0] in by_path:
            raise DataError(f"'{pair[0]}' is listed twice in {request.source}", "remove one of the lines")
        by_path[pair[0]] = pair[1] + request.classes.offset
    return _label({text: folder / text for text in by_path}, by_path, request)


def read_info_list(request: Request) -> ImageListing:
    """The files of an `.info` file; bins are of the size that it says.

    Relative paths are seen from the current folder, as the guides' tools see them.

    Raises:
        DataError: as `read_list`, and bins of several sizes or of another than it says.
    """
    lines = read_info(request.source)
    sizes = {(line.height, line.width) for line in lines}
    are_bins = lines[0].path.lower().endswith(BIN)
    if are_bins and len(sizes) > 1:
        raise DataError(f"{request.source} names bins of {len(sizes)} sizes", "an engine takes those of one")
    size = next(iter(sizes)) if are_bins else None
    return _label_by_name([Path(line.path) for line in lines], request, size, "an .info file")


def _label_by_name(
    paths: list[Path], request: Request, size: Size | None = None, what: str = "a list of paths"
) -> ImageListing:
    if _are_bins(paths, request):
        by_name = require_labels(request, what, [path.name for path in paths], read_label_file)
        return _label(name_bins_by_id(paths, by_name), by_name, request, size)
    by_file = index_unique(
        paths,
        lambda path: path.name,
        lambda name, a, b: DataError(f"{request.source} names two files '{name}': {a} and {b}", "remove one of them"),
    )
    return _label(by_file, require_labels(request, what, by_file.keys()), request, size)


def _leave_out_class(line: str, folder: Path) -> str:
    """The path of a line `PATH` or `PATH CLASS`."""
    pair = None if is_regular(folder / line) else split_label_line(line)
    return line if pair is None else pair[0]


def _label(
    paths: Mapping[str, Path], by_id: Mapping[str, int], request: Request, size: Size | None = None
) -> ImageListing:
    gone = {image for image, path in paths.items() if not is_regular(path)}
    if gone and (not request.allow_partial or len(gone) == len(paths)):
        shown = count_names("files that are not there", sorted(str(paths[image]) for image in gone))
        raise DataError(f"{request.source} names {shown}", PARTIAL if len(gone) < len(paths) else None)
    there = [path for image, path in paths.items() if image not in gone]
    form = find_form(there, request, size) if _are_bins(there, request) else None
    images = (LabelledImage(image, path, -1, prepared=form) for image, path in paths.items())
    listing = label_images(images, by_id, request, gone)
    return listing if form is None else add_contents(listing, request)


def _are_bins(paths: list[Path], request: Request) -> bool:
    bins = [path for path in paths if path.suffix.lower() == BIN]
    if bins and len(bins) < len(paths):
        raise DataError(
            f"{request.source} names {len(bins)} bins, first {bins[0]}, among {len(paths)} files",
            "list bins alone, or images alone",
        )
    return bool(bins)
