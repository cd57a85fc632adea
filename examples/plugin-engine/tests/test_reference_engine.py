from seatrial.testing import check_engine


def test_it_keeps_every_promise() -> None:
    check_engine("onnx-reference")
