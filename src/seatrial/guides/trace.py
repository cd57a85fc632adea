"""Follow an image through a script without running it: which operations it meets, in which order."""

import ast
from collections.abc import Sequence
from contextlib import suppress

from seatrial.guides.calls import Calls, Stop
from seatrial.guides.expressions import Scope
from seatrial.guides.geometry import read_one_side
from seatrial.guides.values import UNKNOWN, Known, Operation

FORKS = 64
"""Branches that are followed both ways, in one script."""
Result = tuple[list[Operation], Scope, Stop | None]
"""What a branch did, what it knows, and how it ended."""


class Tracer(Calls):
    """One script, followed from its first line."""

    def run(self) -> list[Operation]:
        """The operations that images meet."""
        self.globals["__name__"] = Known("__main__", 0)
        with suppress(Stop):
            self.do_block(self.tree.body, self.globals)
        return self.operations

    def do_block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Follow statements in order; of a branch whose test is not known both ways are followed, a few times."""
        for place, statement in enumerate(body):
            if isinstance(statement, ast.If):
                test = self.judge(statement.test, scope)
                if test is None and self.forks < FORKS:
                    self.forks += 1
                    self.do_both(statement, body[place + 1 :], scope)
                    return
                self.do_block(statement.orelse if test is False else statement.body, scope)
            else:
                self.do(statement, scope)

    def do(self, statement: ast.stmt, scope: Scope) -> None:
        """Follow one statement."""
        match statement:
            case ast.FunctionDef() | ast.ClassDef():
                scope[statement.name] = statement
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                self.do_assignment(statement, scope)
            case ast.Expr():
                self.evaluate(statement.value, scope)
            case ast.For():
                self.do_loop(statement, scope)
            case ast.While() | ast.With() | ast.Try():
                for item in getattr(statement, "items", ()):
                    self.bind_item(item, scope)
                self.do_block(statement.body, scope)
            case ast.Return():
                raise Stop(self.evaluate(statement.value, scope) if statement.value else Known(None, 0))
            case ast.Continue() | ast.Break() | ast.Raise():
                raise Stop(UNKNOWN)
            case _:
                pass

    def do_assignment(self, statement: ast.Assign | ast.AnnAssign | ast.AugAssign, scope: Scope) -> None:
        """Take an assignment of any kind into the scope."""
        if isinstance(statement, ast.AugAssign):
            self.augment(statement, scope)
        elif statement.value is not None:
            value = self.evaluate(statement.value, scope)
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                self.assign(target, value, scope)

    def bind_item(self, item: ast.withitem, scope: Scope) -> None:
        """Take what a `with` names into the scope."""
        value = self.evaluate(item.context_expr, scope)
        if item.optional_vars is not None:
            self.assign(item.optional_vars, value, scope)

    def do_loop(self, statement: ast.For, scope: Scope) -> None:
        """Follow a loop for each element of a known list of at most eight, else once with an unknown one."""
        many = self.evaluate(statement.iter, scope)
        known = isinstance(many, Known) and isinstance(many.value, tuple) and len(many.value) <= 8
        for each in many.value if known else (UNKNOWN,):
            self.assign(statement.target, each, scope)
            try:
                self.do_block(statement.body, scope)
            except Stop as stop:
                if any(isinstance(node, ast.Return) for node in ast.walk(statement)) and stop.value != UNKNOWN:
                    raise

    def do_both(self, statement: ast.If, rest: Sequence[ast.stmt], scope: Scope) -> None:
        """Follow both branches of a test that is not known; what they do alike is what is done."""
        before, forks = list(self.operations), [dict(scope), dict(scope)]
        forks[0].update(read_one_side(statement.test, scope, holds=True))
        forks[1].update(read_one_side(statement.test, scope, holds=False))
        results: list[Result] = []
        for branch, own in zip((statement.body, statement.orelse), forks, strict=True):
            self.operations = list(before)
            stop = None
            try:
                self.do_block([*branch, *rest], own)
            except Stop as stopped:
                stop = stopped
            results.append((self.operations, own, stop))
        chosen = self.choose(results, len(before), statement)
        self.operations = chosen[0]
        scope.update(chosen[1])
        if chosen[2] is not None:
            raise chosen[2]

    def choose(
        self,
        results: list[Result],
        before: int,
        statement: ast.If,
    ) -> Result:
        """The branch that does something; where both do, and not the same, what is done is unclear."""
        first, second = results
        one, other = first[0][before:], second[0][before:]
        if not one and not other:
            return merge(first, second)
        if one == other or not other:
            return first
        if not one:
            return second
        why = f"what is done depends on `{ast.unparse(statement.test)[:60]}`"
        unclear = Operation("unclear", {"why": why}, self.file, statement.lineno)
        return ([*first[0][:before], unclear], second[1], second[2])

    def augment(self, statement: ast.AugAssign, scope: Scope) -> None:
        """Take an assignment such as `x -= mean` into the scope."""
        left, right = self.evaluate(statement.target, scope), self.evaluate(statement.value, scope)
        result = self.compute(statement.op, left, right, statement)
        if isinstance(statement.target, ast.Name):
            scope[statement.target.id] = result


def merge(first: Result, second: Result) -> Result:
    """Two branches that do nothing to images: what they leave different is not known."""
    if (first[2] is None) != (second[2] is None):
        return first if first[2] is None else second
    if first[2] is not None and second[2] is not None:
        alike = first[2].value == second[2].value
        return first if alike else (first[0], first[1], Stop(UNKNOWN))
    names = {**first[1], **second[1]}
    both = {name: value for name, value in names.items() if first[1].get(name) == second[1].get(name)}
    return first[0], {name: both.get(name, UNKNOWN) for name in names}, None
