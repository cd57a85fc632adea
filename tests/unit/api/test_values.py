"""A Python value and its text on the command line mean the same."""

import pytest

from seatrial.api.values import list_names, list_texts, read_batch, read_pairs, read_scopes, read_sizes
from seatrial.errors import UsageError


def test_values_and_their_texts_mean_the_same() -> None:
    assert read_sizes("1, 8") == read_sizes([1, 8]) == (1, 8)
    assert read_sizes(4) == read_sizes("4") == (4,)
    assert read_batch(16) == read_batch("16") == 16 and read_batch("dynamic") is None
    assert read_scopes(["device", "host"]) == read_scopes("device,host") == ("device", "host")
    assert list_names("a, b,") == list_names(["a", "b"]) == ("a", "b") and list_names(None) == ()
    assert list_texts("p99_ms(x, 1) <= 5") == ("p99_ms(x, 1) <= 5",)
    assert read_pairs({"threads": 2, "fast": True}) == read_pairs(["threads=2", "fast=true"])


@pytest.mark.parametrize("sizes", [0, [1, 1], [-1], "x"])
def test_sizes_that_are_none_are_refused(sizes: object) -> None:
    with pytest.raises(UsageError, match="--batch-size"):
        read_sizes(sizes)  # type: ignore[arg-type]
