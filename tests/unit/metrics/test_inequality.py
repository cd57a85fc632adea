import ast
import builtins

import pytest

from seatrial.metrics.inequality import EACH, Term, list_terms, parse_inequality


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("top1 >= 0.76", (Term("top1"),)),
        ("top1(*)>=.76", (Term("top1", EACH),)),
        ("p99_ms(openvino-bf16, 1) <= 5e0", (Term("p99_ms", "openvino-bf16", 1),)),
        ("p99_ms( * ,8 ) <= 5", (Term("p99_ms", EACH, 8),)),
        ("best(310P) >= 1.2 * best (310)", (Term("best", "310P"), Term("best", "310"))),
        ("best(a.b_c) / at(torch@cuda:0, 8) > 2", (Term("best", "a.b_c"), Term("at", "torch@cuda:0", 8))),
        ("2e9 > memory_bytes", (Term("memory_bytes"),)),
    ],
)
def test_terms_are_read(text: str, terms: tuple[Term, ...]) -> None:
    assert tuple(parse_inequality(text).terms.values()) == terms == list_terms(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 - 3 - 4", -5),
        ("100 / 4 / 5", 5),
        ("((1.5))", 1.5),
        ("1 - 2 * (3 - 4) / 8", 1.25),
        ("1e3 + 2.5E-1", 1000.25),
        ("x - x(b)", 0),
        ("2*x/x(b)", 2),
    ],
)
def test_arithmetic_is_read_as_written(text: str, value: float) -> None:
    for written, side in ((f"{text} >= x", 0), (f"x<{text}", 1)):
        found = parse_inequality(written)
        assert found.evaluate(float, dict.fromkeys(found.terms, 7.0))[side] == pytest.approx(value)


@pytest.mark.parametrize(
    ("sign", "below", "equal", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True), (">=", False, True, True)],
)
def test_signs(sign: str, below: bool, equal: bool, above: bool) -> None:
    found = parse_inequality(f"x {sign} 2")
    assert (found.holds(1, 2), found.holds(2, 2), found.holds(3, 2)) == (below, equal, above)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "x >=", ">= 3", "x = 3", "x == 3", "x != 3", "x >= 3 >= 2", "x >= 3 4", "x >= (3", "x >= 3)",
        "x >= ()", "x >= 2 ** 3", "x >= 3 *", "x >= 1 / (2 - 2)", "x >= 1.2.3", "x >= 2y", "x and 1 < 2",
        "x(a >= 3", "x() >= 3", "x(a,) >= 3", "x(, 8) >= 3", "x(a, many) >= 3", "x(a, 0) >= 3",
        "x(a, 1, 8) >= 3", "310P >= 3", "3 > 2", "__import__('os').getcwd() > 3", "x if 1 else 2 >= 3",
        "x // 2 >= 3", "x >= 1_0", "x >= ...", "x >= +3", "x ≥ 3", "x >= " + "(" * 9999 + "3" + ")" * 9999,
        "x >= 1" + " + 1" * 9999,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_reported(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_inequality(text)
    assert list_terms(text) == ()


def test_nothing_is_ever_evaluated_as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an expression was run as Python")

    def parse(source: object, filename: str, mode: str, flags: int = 0, **more: object) -> object:
        assert flags & ast.PyCF_ONLY_AST, "an expression was compiled"
        return parser(source, filename, mode, flags, **more)

    parser = compile
    for name in ("eval", "exec"):
        monkeypatch.setattr(builtins, name, refuse)
    monkeypatch.setattr(builtins, "compile", parse)
    assert parse_inequality("x >= 1.2 * x(a)").evaluate(float, {"term0": 600.0, "term1": 400.0}) == (600, 480)


def test_it_is_written_with_the_terms_it_has() -> None:
    found = parse_inequality("best(openvino:bf16)>=1.2*(best + at(b, 8))")
    bound = found.bind(lambda term: Term(term.quantity, "a", term.batch_size) if term.engine == EACH else term)
    assert str(bound) == "best(openvino:bf16) >= 1.2 * (best(a) + at(b, 8))"
    assert parse_inequality(str(bound)).terms == bound.terms
