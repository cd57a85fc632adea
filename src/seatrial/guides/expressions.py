"""Expressions of a script, followed without running them."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from seatrial.guides.geometry import read_crop
from seatrial.guides.values import (
    UNKNOWN,
    Instance,
    Known,
    Opaque,
    Operation,
    Picture,
    Value,
    apply_operator,
    compare,
    find_line,
    find_named,
    name_of,
    read_numbers,
)

Scope = dict[str, Value]


class Expressions(ABC):
    """What expressions of one script are, and what they do to an image."""

    def __init__(self, tree: ast.Module, file: str, options: Mapping[str, Value], words: Sequence[Value]) -> None:
        """Take the command line that starts it.

        Args:
            options: what `args.NAME` is.
            words: what `sys.argv` is.
        """
        self.tree, self.file, self.options, self.words = tree, file, options, words
        self.operations: list[Operation] = []
        self.globals: Scope = {}
        self.forks, self.depth = 0, 0
        self.training = False

    @abstractmethod
    def call(self, node: ast.Call, scope: Scope) -> Value:
        """What a call gives."""

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Give a value to a name, an object's attribute, or part by part to several; other targets are passed over."""
        match target:
            case ast.Name():
                scope[target.id] = value
            case ast.Tuple() | ast.List():
                self.unpack(target.elts, value, scope)
            case ast.Attribute():
                base = self.evaluate(target.value, scope)
                if isinstance(base, Instance):
                    base.attributes[target.attr] = value
                elif name := name_of(target):
                    self.globals[name] = value
            case _:
                pass

    def unpack(self, targets: list[ast.expr], value: Value, scope: Scope) -> None:
        """Give the parts of a value to as many targets; those of an image's size or shape are its sides."""
        parts: Sequence[Value] = [UNKNOWN] * len(targets)
        if isinstance(value, Known) and isinstance(value.value, tuple) and len(value.value) == len(targets):
            parts = value.value
        elif isinstance(value, Opaque) and value.kind in ("size", "shape"):
            sides = ("width", "height") if value.kind == "size" else ("height", "width", "")
            parts = [Opaque(kind=side) for side in sides[: len(targets)]]
            parts = [*parts, *[UNKNOWN] * (len(targets) - len(parts))]
        for target, part in zip(targets, parts, strict=True):
            self.assign(target, part, scope)

    def judge(self, node: ast.expr, scope: Scope) -> bool | None:
        """Whether a test holds; None where it is not known."""
        match node:
            case ast.BoolOp():
                parts = [self.judge(each, scope) for each in node.values]
                decisive = isinstance(node.op, ast.Or)
                if decisive in parts:
                    return decisive
                return None if None in parts else not decisive
            case ast.UnaryOp(op=ast.Not()):
                inner = self.judge(node.operand, scope)
                return None if inner is None else not inner
            case ast.Compare() if len(node.ops) == 1:
                left, right = self.evaluate(node.left, scope), self.evaluate(node.comparators[0], scope)
                return compare(node, left, right)
            case ast.Call(func=ast.Name(id="isinstance")) if len(node.args) == 2:
                value = self.evaluate(node.args[0], scope)
                types = ast.unparse(node.args[1])
                kinds = {bool: "bool", int: "int", float: "float", str: "str", tuple: "tuple"}
                if not isinstance(value, Known) or type(value.value) not in kinds:
                    return None
                sequence = isinstance(value.value, tuple) and any(word in types for word in ("Sequence", "list"))
                return kinds[type(value.value)] in types or sequence
            case ast.Compare():
                return None
            case _:
                value = self.evaluate(node, scope)
                plain = isinstance(value, Known) and not isinstance(value.value, dict)
                return bool(value.value) if plain else None

    def evaluate(self, node: ast.expr, scope: Scope) -> Value:
        """What an expression is; what it does to an image is noted."""
        match node:
            case ast.Constant() | ast.Tuple() | ast.List() | ast.Dict() | ast.Name():
                return self.evaluate_literal(node, scope)
            case ast.UnaryOp() | ast.BinOp() | ast.Compare() | ast.BoolOp() | ast.IfExp():
                return self.evaluate_operator(node, scope)
            case ast.ListComp() | ast.GeneratorExp():
                return self.evaluate_each(node, scope)
            case ast.Attribute():
                return self.evaluate_attribute(node, scope)
            case ast.Subscript():
                return self.evaluate_subscript(node, scope)
            case ast.Call():
                result = self.call(node, scope)
                return Opaque(node) if result == UNKNOWN else result
            case _:
                return UNKNOWN

    def evaluate_literal(self, node: ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.Name, scope: Scope) -> Value:
        """A literal, or what a name stands for."""
        match node:
            case ast.Constant():
                return Known(node.value, node.lineno)
            case ast.Tuple() | ast.List():
                return Known(tuple(self.evaluate(each, scope) for each in node.elts), node.lineno)
            case ast.Dict():
                keys = [self.evaluate(key, scope) if key is not None else UNKNOWN for key in node.keys]
                pairs = zip(keys, node.values, strict=True)
                plain = [(k.value, v) for k, v in pairs if isinstance(k, Known) and isinstance(k.value, str | int)]
                return Known({key: self.evaluate(value, scope) for key, value in plain}, node.lineno)
            case ast.Name():
                found = scope.get(node.id, self.globals.get(node.id))
                return found if found is not None else find_named(node) or UNKNOWN

    def evaluate_operator(
        self, node: ast.UnaryOp | ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp, scope: Scope
    ) -> Value:
        """The result of arithmetic or of a test."""
        match node:
            case ast.UnaryOp(op=ast.USub()):
                return apply_operator(ast.Sub(), Known(0, node.lineno), self.evaluate(node.operand, scope))
            case ast.BinOp():
                left, right = self.evaluate(node.left, scope), self.evaluate(node.right, scope)
                result = self.compute(node.op, left, right, node)
                return Opaque(node) if result == UNKNOWN else result
            case ast.IfExp():
                test = self.judge(node.test, scope)
                return Opaque(node) if test is None else self.evaluate(node.body if test else node.orelse, scope)
            case ast.UnaryOp(op=ast.Not()) | ast.Compare() | ast.BoolOp():
                holds = self.judge(node, scope)
                return Opaque(node) if holds is None else Known(holds, node.lineno)
            case _:
                return UNKNOWN

    def evaluate_each(self, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Value:
        """What a comprehension gives that goes over a known list of at most eight."""
        many = self.evaluate(node.generators[0].iter, scope)
        if not (isinstance(many, Known) and isinstance(many.value, tuple)) or len(many.value) > 8:
            return UNKNOWN
        found = []
        for each in many.value:
            own = dict(scope)
            self.assign(node.generators[0].target, each, own)
            found.append(self.evaluate(node.elt, own))
        return Known(tuple(found), node.lineno)

    def evaluate_attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        """What an attribute is: of a module, an object, an image, a known constant, or the script's options."""
        name = name_of(node)
        if name in self.globals:
            return self.globals[name]
        base = self.evaluate(node.value, scope)
        if isinstance(base, Instance):
            return base.attributes.get(node.attr, UNKNOWN)
        if isinstance(base, Picture):
            return Opaque(kind=node.attr) if node.attr in ("size", "shape") else base if node.attr == "T" else UNKNOWN
        named = find_named(node)
        if named is not None:
            return named
        return self.options.get(node.attr, UNKNOWN) if isinstance(node.value, ast.Name) else UNKNOWN

    def evaluate_subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        """What indexing gives: a word of the command line, a channel, a side of an image, or an element."""
        if name_of(node.value) == "sys.argv":
            place = self.evaluate(node.slice, scope)
            inside = isinstance(place, Known) and isinstance(place.value, int) and 0 < place.value <= len(self.words)
            return self.words[place.value - 1] if inside else UNKNOWN
        base = self.evaluate(node.value, scope)
        if isinstance(base, Picture):
            self.slice_image(node, scope)
            return Picture(self.find_channel(node.slice, scope))
        if isinstance(base, Opaque) and base.kind in ("size", "shape"):
            place = self.evaluate(node.slice, scope)
            sides = {"size": ("width", "height"), "shape": ("height", "width")}[base.kind]
            inside = isinstance(place, Known) and place.value in (0, 1)
            return Opaque(kind=sides[place.value]) if inside else UNKNOWN
        if not isinstance(base, Known):
            return UNKNOWN
        if isinstance(node.slice, ast.Slice):
            whole = isinstance(base.value, tuple) and ast.unparse(node.slice) in ("::-1", ":", "1:", "-2:", ":3")
            return Known(base.value[slice(*read_slice(node.slice))], base.line) if whole else base
        return self.pick(base, self.evaluate(node.slice, scope))

    def pick(self, base: Known, key: Value) -> Value:
        """An element of a known value; the value itself where the key only adds axes or is not known."""
        if not isinstance(key, Known) or isinstance(key.value, dict):
            return base if isinstance(base.value, tuple) else UNKNOWN
        try:
            return base.value[key.value]
        except (LookupError, TypeError):
            # `mean[:, None, None]` is the mean.
            return base if isinstance(base.value, tuple) and isinstance(key.value, tuple) else UNKNOWN

    def slice_image(self, node: ast.Subscript, scope: Scope) -> None:
        """Note what slicing an image does to it: channels swapped, a crop, or what is unclear."""
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        # The first axis alone may be rows or channels.
        if (len(parts) > 1 or isinstance(parts[0], ast.List)) and any(
            ast.unparse(part) in ("::-1", "[2, 1, 0]", "(2, 1, 0)") for part in (parts[0], parts[-1])
        ):
            self.operations.append(Operation("swap", {}, self.file, node.lineno))
            parts = [part for part in parts if not ast.unparse(part).startswith(("::-1", "["))]
        crop = read_crop(node.slice, lambda each: self.evaluate(each, scope), self.origin(scope))
        if crop is not None:
            self.operations.append(Operation("crop", crop[0], self.file, crop[1] or node.lineno))
        elif any(isinstance(part, ast.Slice) and ast.unparse(part) != ":" for part in parts):
            why = f"the part `{ast.unparse(node)[:60]}` of an image"
            self.operations.append(Operation("unclear", {"why": why}, self.file, node.lineno))

    def find_channel(self, node: ast.expr, scope: Scope) -> int | None:
        """Which channel an index of an image is, first or last; below 0 where that is not clear."""
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        whole = [isinstance(part, ast.Slice) or ast.unparse(part) in ("...", "None") for part in parts]
        if all(whole):
            return None
        last, first = self.evaluate(parts[-1], scope), self.evaluate(parts[0], scope)
        index = last if all(whole[:-1]) else first if all(whole[1:]) else UNKNOWN
        if len(parts) > 1 and isinstance(index, Known) and index.value in (0, 1, 2):
            return int(index.value)
        return None if any(isinstance(part, ast.List) for part in parts) else -1

    def origin(self, scope: Scope) -> Scope:
        """What names are, those of the script's top level too."""
        return {**self.globals, **scope}

    def compute(self, kind: ast.operator, left: Value, right: Value, node: ast.AST) -> Value:
        """Arithmetic: what it gives, or what it does to the image on its left."""
        if not isinstance(left, Picture):
            return apply_operator(kind, left, right)
        numbers = read_numbers(right)
        line = getattr(node, "lineno", 0)
        name = {ast.Sub: "subtract", ast.Div: "divide", ast.Mult: "multiply"}.get(type(kind))
        channel = left.channel
        one = channel is None or (channel >= 0 and numbers is not None and len(numbers) == 1)
        if numbers is None or name is None or not one or (name != "subtract" and 0 in numbers):
            why = f"the arithmetic `{ast.unparse(node)[:60]}`"
            self.operations.append(Operation("unclear", {"why": why}, self.file, line))
        else:
            options = {"values": numbers} if channel is None else {"values": numbers, "channel": channel}
            self.operations.append(Operation(name, options, self.file, find_line(right, line)))
        return left


def read_slice(node: ast.Slice) -> tuple[int | None, int | None, int | None]:
    """The three numbers of a slice."""
    parts = [ast.literal_eval(part) if part is not None else None for part in (node.lower, node.upper, node.step)]
    return parts[0], parts[1], parts[2]
