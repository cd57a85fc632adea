"""Calls of a script: of its own functions and classes, of an image's methods, and of the libraries that it imports."""

import ast
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.guides.expressions import Expressions, Scope
from seatrial.guides.geometry import find_side, read_crop
from seatrial.guides.library import READS, LibraryCall, read_pillow_resize, read_transform
from seatrial.guides.values import (
    UNKNOWN,
    Instance,
    Known,
    Opaque,
    Operation,
    Picture,
    Transform,
    Value,
    call_plain,
    name_of,
)

DEPTH = 12
"""Calls inside calls that are followed."""
_WRAPPERS = ("array", "tensor", "asarray", "tuple", "list", "from_numpy", "float32", "as_tensor", "ascontiguousarray")
SHAPING = ("view", "reshape", "half", "cuda", "astype", "float", "to", "unsqueeze", "numpy")
"""Methods that leave numbers what they are."""
KEEPING = (
    *SHAPING, "convert", "transpose", "permute", "tofile", "contiguous", "cpu", "copy", "detach", "squeeze", "tobytes",
    "close", "load", "save", "dim", "numel", "type", "clone", "item", "tolist", "append",
)  # fmt: skip
"""Methods that leave an image what it is."""
WRAPPING = (
    "array", "asarray", "fromarray", "from_numpy", "expand_dims", "unsqueeze", "transpose", "print", "len",
    "str", "tensor", "stack", "cat", "concatenate", "float32", "ascontiguousarray", "enumerate", "zip",
    "append", "is_tensor", "Tensor", "save", "imwrite", "isinstance", "astype", "reshape", "imshow",
    "type", "squeeze", "as_tensor", "range", "list", "tuple", "put", "write",
    "int", "vstack", "hstack", "tofile", "info", "debug", "Variable",
)  # fmt: skip
"""Functions that leave the values of an image they are given what they are."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an object of the script."""

    owner: Instance
    function: ast.FunctionDef | None


class Stop(Exception):
    """The block ends here, with a value."""

    def __init__(self, value: Value) -> None:
        self.value = value
        super().__init__()


class Calls(Expressions):
    """What calls of one script do to an image."""

    @abstractmethod
    def do_block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Follow statements.

        Raises:
            Stop: the block ends before its last line.
        """

    def call(self, node: ast.Call, scope: Scope) -> Value:
        """What a call gives: of the script's own code by following it, of a library by what is known of it."""
        name = name_of(node.func)
        base = self.evaluate(node.func.value, scope) if isinstance(node.func, ast.Attribute) else UNKNOWN
        own = self.find_called(node, base, scope)
        spread = [self.evaluate(each, scope) for each in node.args]
        named = {each.arg: self.evaluate(each.value, scope) for each in node.keywords if each.arg}
        if isinstance(own, Method):
            return self.enter(own.function, [own.owner, *spread], named) if own.function else UNKNOWN
        if isinstance(own, ast.FunctionDef):
            return self.enter(own, spread, named)
        if isinstance(own, ast.ClassDef):
            return self.construct(own, spread, named)
        if isinstance(own, Transform | Instance):
            return self.apply(own, spread)
        if isinstance(node.func, ast.Attribute):
            if isinstance(base, Picture):
                return self.call_image(node, spread, named, scope)
            if node.func.attr in ("append", "extend") and isinstance(node.func.value, ast.Name):
                return self.append(node.func, base, spread, scope)
            if isinstance(base, Known) and node.func.attr in SHAPING:
                return base
        last = node.func.attr if isinstance(node.func, ast.Attribute) else name
        return self.call_library(LibraryCall(last, tuple(spread), named, self.file, node.lineno), name, node, scope)

    def find_called(self, node: ast.Call, base: Value, scope: Scope) -> Value:
        """What a call calls, where the script says it."""
        if isinstance(node.func, ast.Name):
            return scope.get(node.func.id, self.globals.get(node.func.id))
        if isinstance(node.func, ast.Attribute) and isinstance(base, Instance):
            given = base.attributes.get(node.func.attr)
            return given if given is not None else Method(base, find_method(base.cls, node.func.attr))
        return self.evaluate(node.func, scope) if isinstance(node.func, ast.Call | ast.Subscript) else None

    def append(self, function: ast.Attribute, base: Value, spread: list[Value], scope: Scope) -> Value:
        """Take `append` and `extend` of a known list into the scope; of any other nothing becomes known."""
        if isinstance(base, Known) and isinstance(base.value, tuple) and spread:
            more = spread[0].value if function.attr == "extend" and isinstance(spread[0], Known) else (spread[0],)
            scope[name_of(function.value)] = Known((*base.value, *more), base.line)
        return UNKNOWN

    def enter(self, function: ast.FunctionDef, spread: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Follow a function of the script with its arguments."""
        if self.depth >= DEPTH:
            return UNKNOWN
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        scope: Scope = dict.fromkeys([*names, *(each.arg for each in function.args.kwonlyargs)], UNKNOWN)
        given = function.args.defaults
        for name, default in zip(names[len(names) - len(given) :], given, strict=True):
            scope[name] = self.evaluate(default, self.globals)
        scope.update(zip(names, spread, strict=False))
        scope.update({name: value for name, value in named.items() if name in scope})
        self.depth += 1
        try:
            self.do_block(function.body, scope)
        except Stop as stop:
            return stop.value
        finally:
            self.depth -= 1
        return Known(None, 0)

    def construct(self, cls: ast.ClassDef, spread: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """An object of a class of the script, after its `__init__`."""
        instance = Instance(cls)
        if (start := find_method(cls, "__init__")) is not None:
            self.enter(start, [instance, *spread], named)
        return instance

    def apply(self, what: Transform | Instance, spread: Sequence[Value]) -> Value:
        """Let an image go through transforms."""
        if isinstance(what, Instance):
            method = find_method(what.cls, "__call__") or find_method(what.cls, "forward")
            return self.enter(method, [what, *(spread or [Picture()])], {}) if method else UNKNOWN
        if what.training:
            self.training = True
            return Picture()
        for each in what.operations:
            if isinstance(each, Operation):
                self.operations.append(each)
            else:
                self.apply(each, [Picture()])
        return Picture()

    def call_image(self, node: ast.Call, spread: list[Value], named: dict[str, Value], scope: Scope) -> Value:
        """A method of an image."""
        assert isinstance(node.func, ast.Attribute)
        attribute = node.func.attr
        call = LibraryCall(attribute, tuple(spread), named, self.file, node.lineno)
        if attribute == "resize":
            self.resize(call, node, scope)
        elif attribute == "crop" and node.args:
            crop = read_crop(node.args[0], lambda each: self.evaluate(each, scope), self.origin(scope))
            if crop is None:
                self.operations.append(call.make("unclear", None, why="the size of this crop"))
            else:
                self.operations.append(Operation("crop", crop[0], self.file, crop[1] or node.lineno))
        elif attribute in ("sub_", "sub", "div_", "div", "mul_", "mul") and spread:
            kind = {"sub": ast.Sub(), "div": ast.Div(), "mul": ast.Mult()}[attribute.rstrip("_")]
            self.compute(kind, Picture(), spread[0], node)
        elif attribute not in KEEPING:
            self.operations.append(call.make("unclear", None, why=f"what .{attribute}() does to the image"))
        elif attribute == "convert":
            mode = spread[0].value if spread and isinstance(spread[0], Known) else None
            if mode == "L":
                self.operations.append(call.make("grey"))
            elif mode != "RGB":
                self.operations.append(call.make("unclear", None, why=f"what .convert({mode!r}) does to the image"))
        return Picture()

    def resize(self, call: LibraryCall, node: ast.Call, scope: Scope, opencv: bool = False) -> None:
        """Note a resize of the image; one whose size or filter is not known as unclear."""
        done = read_pillow_resize(call, opencv)
        size = next((each.value for each in node.keywords if each.arg in ("size", "dsize")), None)
        place = 1 if opencv else 0
        size = size or (node.args[place] if len(node.args) > place else None)
        if done is None and size is not None:
            done = self.resize_one_side(call, size, scope, opencv)
        self.operations.append(done or call.make("unclear", None, why="the size or filter of this resize"))

    def resize_one_side(self, call: LibraryCall, size: ast.expr, scope: Scope, opencv: bool) -> Operation | None:
        """A resize whose other side follows from the image."""
        found = find_side(size, lambda each, own: self.evaluate(each, own), self.origin(scope))
        sample = replace(call, positional=(), named={**call.named, "size": Known((Known(1, 0), Known(1, 0)), 0)})
        chosen = call.argument(3 if opencv else 1, "interpolation", "resample")
        if chosen is not None:
            sample = replace(sample, named={**sample.named, "interpolation": chosen})
        plain = read_pillow_resize(sample, opencv)
        if found is None or plain is None:
            return None
        rest = {key: value for key, value in plain.options.items() if key != "size"}
        pixels = (found.pixels, found.pixels) if found.target == "cover" else found.pixels
        options = {found.target: pixels, **rest}
        return Operation("resize", options, self.file, found.line)

    def call_library(self, call: LibraryCall, name: str, node: ast.Call, scope: Scope) -> Value:
        """A call of something that the script imports."""
        if name in READS or call.name == "imread":
            order = READS.get(name, "BGR")
            self.operations.append(call.make("read", None, order=order))
            if len(node.args) > 1 and ast.unparse(node.args[1]) not in ("1", "cv2.IMREAD_COLOR", "'RGB'"):
                self.operations.append(
                    call.make("unclear", None, why=f"an image opened as {ast.unparse(node.args[1])}")
                )
            return Picture()
        if name == "cv2.resize" and call.positional and isinstance(call.positional[0], Picture):
            self.resize(call, node, scope, opencv=True)
            return Picture()
        if call.name == "cvtColor" and "COLOR_BGR2RGB" in "".join(map(ast.unparse, node.args[1:])).replace(
            "RGB2BGR", "BGR2RGB"
        ):
            self.operations.append(call.make("swap"))
            return Picture()
        if name == "cv2.split" and call.positional and isinstance(call.positional[0], Picture):
            return Known(tuple(Opaque(kind=f"channel {place}") for place in range(3)), call.line)
        if name == "cv2.merge" and call.positional and isinstance(call.positional[0], Known):
            return self.merge_channels(call, call.positional[0])
        if call.name == "Compose" and call.positional:
            return self.compose(call.positional[0])
        if (transform := read_transform(call)) is not None:
            if call.name == "create_loader":
                self.apply(transform, ())
                return UNKNOWN
            return transform
        return self.call_other(call, name, node)

    def merge_channels(self, call: LibraryCall, parts: Known) -> Value:
        """Note what merging split channels does to their order."""
        kinds = [getattr(each, "kind", "") for each in parts.value] if isinstance(parts.value, tuple) else []
        if kinds == ["channel 2", "channel 1", "channel 0"]:
            self.operations.append(call.make("swap"))
        elif kinds != ["channel 0", "channel 1", "channel 2"]:
            self.operations.append(call.make("unclear", None, why="which channels are merged"))
        return Picture()

    def compose(self, parts: Value) -> Value:
        """One transform of several, such as `Compose` makes; what is not known in it is unclear."""
        if not (isinstance(parts, Known) and isinstance(parts.value, tuple)):
            return UNKNOWN
        found: list[Value] = []
        training = False
        for part in parts.value:
            if isinstance(part, Transform):
                training = training or part.training
                found += part.operations
            elif isinstance(part, Instance):
                found.append(part)
            else:
                found.append(Operation("unclear", {"why": "one of the composed transforms"}, self.file, parts.line))
        return Transform(tuple(found), training)

    def call_other(self, call: LibraryCall, name: str, node: ast.Call) -> Value:
        """Threads and pools that run a function, wrappers of a value, and data sets that are given a transform."""
        values = (*call.positional, *call.named.values())
        runs = next((each for each in values if isinstance(each, ast.FunctionDef)), None)
        if runs is not None:
            given = call.named.get("args", call.positional[1] if len(call.positional) > 1 else None)
            return self.enter(
                runs, given.value if isinstance(given, Known) and isinstance(given.value, tuple) else (), {}
            )
        for each in values:
            if isinstance(each, Transform) and not each.training:
                self.apply(each, ())
                return UNKNOWN
        if (plain := call_plain(name, list(call.positional))) is not None:
            return plain
        if any(isinstance(each, Picture) for each in values):
            if call.name not in WRAPPING:
                self.operations.append(call.make("unclear", None, why=f"what {name or call.name} does to the image"))
            return Picture()
        one = call.positional[0] if call.positional else UNKNOWN
        if isinstance(one, Known) and (call.name in _WRAPPERS or "interp" in call.name):
            return one
        return self.zip_values(call)

    def zip_values(self, call: LibraryCall) -> Value:
        """What `zip` and `enumerate` give for known lists."""
        tuples = [each.value for each in call.positional if isinstance(each, Known) and isinstance(each.value, tuple)]
        if len(tuples) != len(call.positional) or not tuples:
            return UNKNOWN
        if call.name == "zip":
            return Known(tuple(Known(each, call.line) for each in zip(*tuples, strict=False)), call.line)
        if call.name == "enumerate":
            pairs = (Known((Known(place, call.line), each), call.line) for place, each in enumerate(tuples[0]))
            return Known(tuple(pairs), call.line)
        return UNKNOWN


def find_method(cls: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The method of that name."""
    return next((each for each in cls.body if isinstance(each, ast.FunctionDef) and each.name == name), None)
