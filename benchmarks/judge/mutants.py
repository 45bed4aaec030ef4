"""Small changes to a module's source, each of which some test should notice."""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
FUNCTIONS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "log": "log1p", "log1p": "log", "floor": "ceil",
}  # fmt: skip
CHOICES = {
    "Decision": ("PROMOTE", "ROLLBACK", "HOLD", "INCONCLUSIVE"),
    "Arm": ("STABLE", "CANDIDATE"),
    "Unit": ("REQUESTS", "STRATA", "USERS"),
    "Reason": ("WORSE", "COLLECTING", "SIGNS_OF_HARM", "STALE_EVIDENCE", "ONE_OUTAGE", "MISSING_COUNT"),
    "Fault": ("RESET", "LATE"),
}
"""Enumerations, and the members that stand in for one another."""


Path = tuple[tuple[str, int | None], ...]
"""From a node to one within it: fields, and positions where these are lists."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change: `where` the function or constant, `line` in the file, and the text before and after."""

    module: str
    where: str
    line: int
    before: str
    after: str
    source: str
    way: Path
    new: ast.AST

    @property
    def name(self) -> str:
        """Says which change it is, independently of line numbers."""
        return f"{self.module}.{self.where}: {self.before} → {self.after}"

    def tree(self) -> ast.Module:
        """The changed module."""
        tree = ast.parse(self.source)
        _replace(tree, self.way, self.new)
        return ast.fix_missing_locations(tree)


def mutants(module: str, source: str, wanted: Collection[str]) -> Iterator[Mutant]:
    """Every mutant of `source`, in the functions and constants of these qualified names, or in all where there are none."""
    tree = ast.parse(source)
    for where, way in _parts(tree, "", ()):
        if wanted and where not in wanted:
            continue
        for path, node in _walk(_at(tree, way), way):
            for new, shown in _changes(node):
                before, after = _told(tree, path, node, new) if shown is None else (ast.unparse(shown[0]), shown[1])
                yield Mutant(
                    module, where, getattr(node, "lineno", 0), _short(before), _short(after), source, path, new
                )


def _told(tree: ast.Module, path: Path, node: ast.AST, new: ast.AST) -> tuple[str, str]:
    """What is changed, in the expression around it where it is too small to tell anything."""
    if not isinstance(node, ast.Constant | ast.Attribute):
        return ast.unparse(node), ast.unparse(new)
    before = ast.unparse(_at(tree, path[:-1]))
    _replace(tree, path, new)
    after = ast.unparse(_at(tree, path[:-1]))
    _replace(tree, path, node)
    return before, after


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 110 else f"{text[:107]}..."


def _parts(node: ast.AST, prefix: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Functions with their qualified names, and assigned constants with theirs; and the way to them."""
    for position, child in enumerate(getattr(node, "body", [])):
        here: Path = (*path, ("body", position))
        match child:
            case ast.ClassDef():
                yield from _parts(child, f"{prefix}{child.name}.", here)
            case ast.FunctionDef():
                yield f"{prefix}{child.name}", here
            case ast.Assign(targets=[ast.Name(id=name) | ast.Tuple(elts=[ast.Name(id=name), *_])]):
                yield f"{prefix}{name}", here
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                yield f"{prefix}{name}", here
            case _:
                pass


def _walk(root: ast.AST, path: Path) -> Iterator[tuple[Path, ast.AST]]:
    """Nodes with the way to them; annotations, decorators, docstrings and f-strings are left alone."""
    for field, value in ast.iter_fields(root):
        if field in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        nodes = value if isinstance(value, list) else [value]
        for position, node in enumerate(nodes):
            if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                continue
            if isinstance(node, ast.keyword) and node.arg == "strict":
                continue  # asserts what holds by construction
            here: Path = (*path, (field, position if isinstance(value, list) else None))
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            yield here, node
            yield from _walk(node, here)


def _at(root: ast.AST, path: Path) -> ast.AST:
    node = root
    for name, position in path:
        value = getattr(node, name)
        node = value if position is None else value[position]
    return node


def _replace(root: ast.AST, path: Path, new: ast.AST) -> None:
    *way, (field, position) = path
    node = _at(root, tuple(way))
    if position is None:
        setattr(node, field, new)
    else:
        getattr(node, field)[position] = new


Shown = tuple[ast.AST, str] | None


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, Shown]]:
    """What may stand in place of `node`; where it is a large statement, what to print of the change."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for i, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators), None
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield ast.BinOp(left, ARITHMETIC[type(op)](), right), None
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in ARITHMETIC:
            yield ast.AugAssign(target, ARITHMETIC[type(op)](), value), None
            yield ast.Pass(), (node, "nothing")
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values), None
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand, None
        case ast.If(test=test, body=body, orelse=orelse):
            yield ast.If(_negated(test), body, orelse), (test, f"not ({ast.unparse(test)})")
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(_negated(test), body, orelse), (test, f"not ({ast.unparse(test)})")
        case ast.comprehension(target=target, iter=source, ifs=[condition, *rest]):
            yield ast.comprehension(target, source, rest, 0), (condition, "True")
        case ast.Constant(value=value):
            yield from ((ast.Constant(other), None) for other in _constants(value))
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None)), (node, "return None")
        case ast.Assign() | ast.Expr() | ast.Delete():
            yield ast.Pass(), (node, "nothing")
        case ast.Continue():
            yield ast.Break(), None
        case ast.Break():
            yield ast.Continue(), None
        case ast.Attribute(value=ast.Name(id=owner) as name, attr=attr) if attr in CHOICES.get(owner, ()):
            members = CHOICES[owner]
            yield ast.Attribute(name, members[(members.index(attr) + 1) % len(members)], ast.Load()), None
        case ast.Attribute(value=ast.Name(id="math") as name, attr=attr) if attr in FUNCTIONS:
            yield ast.Attribute(name, FUNCTIONS[attr], ast.Load()), None
        case ast.Call(func=ast.Name(id=function), args=args, keywords=keywords) if function in FUNCTIONS:
            yield ast.Call(ast.Name(FUNCTIONS[function], ast.Load()), args, keywords), None
        case _:
            pass


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _constants(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1,) if value <= 0 else (value + 1, value - 1)
        case float() if value == 0.0:
            return (1.0,)
        case float():
            return (value * 1.25, value * 0.75)
        case _:
            return ()
