"""Which network an export script builds, and how it names the ends of the graph. It is parsed, never run."""

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.guides.script import parse_script, read_defaults, read_words
from seatrial.guides.values import Known, Value, name_of

SAME_NETWORK = {
    ("pretrainedmodels", "se_resnet50"): "legacy_seresnet50",
    ("pretrainedmodels", "se_resnext50_32x4d"): "legacy_seresnext50_32x4d",
    ("pretrainedmodels", "se_resnext101_32x4d"): "legacy_seresnext101_32x4d",
    ("pretrainedmodels", "senet154"): "legacy_senet154",
    ("pretrainedmodels", "inceptionv4"): "inception_v4",
    ("pretrainedmodels", "inceptionresnetv2"): "inception_resnet_v2",
    ("pretrainedmodels", "InceptionV4"): "inception_v4",
    ("pretrainedmodels", "InceptionResNetV2"): "inception_resnet_v2",
    ("pretrainedmodels", "dpn131"): "dpn131",
    ("efficientnet_pytorch", "efficientnet-b7"): "tf_efficientnet_b7",
    ("efficientnet_pytorch", "efficientnet-b0"): "tf_efficientnet_b0",
    ("resnest", "resnest50"): "resnest50d",
    ("resnest", "resnest101"): "resnest101e",
    ("res2net_v1b", "res2net101_v1b"): "res2net101d",
    ("res2net_v1b", "res2net101_v1b_26w_4s"): "res2net101d",
    ("res2net_v1b", "res2net50_v1b"): "res2net50d",
    ("ghostnet", "ghostnet"): "ghostnet_100",
    ("xception", "xception"): "legacy_xception",
    ("gvt", "pcpvt_small_v0"): "twins_pcpvt_small",
    ("gvt", "alt_gvt_large"): "twins_svt_large",
    ("xcit", "xcit_small_12_p16"): "xcit_small_12_p16_224",
    ("volo", "volo_d1"): "volo_d1_224",
    ("modeling_finetune", "beit_base_patch16_224"): "beit_base_patch16_224",
}
"""What timm calls networks that it took over from these packages."""
_ENDS = ("input_names", "output_names")


@dataclass(frozen=True, slots=True)
class FoundName:
    """A word of a script and its line."""

    value: str
    line: int


@dataclass(slots=True)
class FoundNetwork:
    """What an export script says."""

    file: str
    kind: str = ""
    """`timm`, `torchvision`, or `python` of its own repository or file; empty where it is not clear."""
    name: str = ""
    package: str = ""
    """The module that it is imported from, of its own repository."""
    line: int = 0
    note: str = ""
    arguments: dict[str, str | bool | int | float] = field(default_factory=dict)
    input: FoundName | None = None
    output: FoundName | None = None
    opset: FoundName | None = None
    size: FoundName | None = None
    classes: FoundName | None = None


@dataclass(slots=True)
class _Script:
    tree: ast.Module
    imports: dict[str, str]
    """What each name of the file stands for, by its dotted name."""
    options: Mapping[str, Value]
    bare: Sequence[Value]
    assigned: dict[str, list[ast.expr]]


def read_network(text: str, file: str, words: Sequence[str] = (), line: int = 0) -> FoundNetwork | None:
    """The network of a script; None where it exports none."""
    tree = parse_script(text)
    try:
        return None if tree is None else _read_tree(tree, file, words, line)
    except RecursionError:
        return None


def _read_tree(tree: ast.Module, file: str, words: Sequence[str], line: int) -> FoundNetwork | None:
    export = next(
        (n for n in ast.walk(tree) if isinstance(n, ast.Call) and name_of(n.func).endswith("onnx.export")), None
    )
    options, bare = read_words(words, line)
    script = _Script(tree, _read_imports(tree), {**read_defaults(tree), **options}, bare, _read_assigned(tree))
    found = FoundNetwork(file)
    if export is not None:
        _read_ends(found, export, script)
    for call in _list_builders(tree, export, script):
        if not found.kind and _name_network(found, call, script):
            break
    return found if export is not None or found.kind else None


def _read_imports(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                found[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            plain = (each for each in node.names if each.name != "*")
            found.update({each.asname or each.name: f"{node.module or ''}.{each.name}" for each in plain})
            if node.names[0].name == "*":
                found.setdefault("*", node.module or "")
    return found


def _read_assigned(tree: ast.Module) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if name := name_of(target):
                    found.setdefault(name, []).append(node.value)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, [])
        elif isinstance(node, ast.FunctionDef):
            names = [each.arg for each in node.args.args]
            for name, default in zip(names[len(names) - len(node.args.defaults) :], node.args.defaults, strict=True):
                found.setdefault(name, []).append(default)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for name, given in _bind(call, tree):
            found.setdefault(name, []).append(given)
    return found


def _bind(call: ast.Call, tree: ast.Module) -> list[tuple[str, ast.expr]]:
    """What a call of a function of the script gives to its parameters, but for what is handed on by the same name."""
    function = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name_of(call.func)), None)
    if function is None:
        return []
    names = [each.arg for each in function.args.args]
    given = [
        *zip(names, call.args, strict=False),
        *((each.arg, each.value) for each in call.keywords if each.arg in names),
    ]
    return [(name, value) for name, value in given if name is not None and name_of(value) != name]


def _evaluate(node: ast.expr, script: _Script, depth: int = 0) -> Known | None:
    """A word or number, of a literal, a name, or an option."""
    if depth > 5:
        return None
    match node:
        case ast.Constant():
            return Known(node.value, node.lineno)
        case ast.Name():
            values = [_evaluate(each, script, depth + 1) for each in script.assigned.get(node.id, [])]
            known = [value for value in values if value is not None]
            alike = known and all(value.value == known[0].value for value in known)
            return known[0] if alike and len(known) == len(values) else None
        case ast.Attribute():
            option = script.options.get(node.attr)
            return option if isinstance(option, Known) and isinstance(node.value, ast.Name) else None
        case ast.List() | ast.Tuple() if len(node.elts) == 1:
            return _evaluate(node.elts[0], script, depth + 1)
        case ast.Subscript() if name_of(node.value) == "sys.argv" and isinstance(node.slice, ast.Constant):
            place = node.slice.value
            inside = isinstance(place, int) and 0 < place <= len(script.bare)
            value = script.bare[place - 1] if inside and isinstance(place, int) else None
            return value if isinstance(value, Known) else None
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str() as text))) if (
            len(node.args) == 1
        ):
            part = _evaluate(node.args[0], script, depth + 1)
            return (
                None if part is None or text.count("{}") != 1 else Known(text.replace("{}", str(part.value)), part.line)
            )
        case ast.Call(func=ast.Name(id="int")) if len(node.args) == 1:
            return _evaluate(node.args[0], script, depth + 1)
        case _:
            return None


def _read_ends(found: FoundNetwork, export: ast.Call, script: _Script) -> None:
    named = {each.arg: each.value for each in export.keywords if each.arg}
    ends = []
    for end in _ENDS:
        value = _evaluate(named[end], script) if end in named else None
        ends.append(FoundName(str(value.value), value.line) if value and isinstance(value.value, str) else None)
    found.input, found.output = ends
    opset = _evaluate(named["opset_version"], script) if "opset_version" in named else None
    if opset is not None and isinstance(opset.value, int):
        found.opset = FoundName(str(opset.value), opset.line)
    sample = export.args[1] if len(export.args) > 1 else named.get("args")
    for call in _find_calls(sample, script):
        sizes = [_evaluate(each, script) for each in _list_sizes(call)][1:]
        plain = [size.value for size in sizes if size is not None and isinstance(size.value, int)]
        if len(plain) == 3 == len(sizes):
            found.size = FoundName(",".join(map(str, plain)), call.lineno)


def _list_sizes(call: ast.Call) -> list[ast.expr]:
    one = call.args[0] if len(call.args) == 1 else None
    return list(one.elts) if isinstance(one, ast.Tuple | ast.List) else list(call.args)


def _find_calls(node: ast.expr | None, script: _Script) -> list[ast.Call]:
    """The calls of `randn` and the like that a sample input is made by."""
    if isinstance(node, ast.Name):
        nodes: list[ast.expr] = script.assigned.get(node.id, [])
    else:
        nodes = [node] if node is not None else []
    calls = [each for whole in nodes for each in ast.walk(whole) if isinstance(each, ast.Call)]
    return [call for call in calls if name_of(call.func).rpartition(".")[2] in ("randn", "rand", "zeros", "ones")]


def _list_builders(tree: ast.Module, export: ast.Call | None, script: _Script) -> list[ast.Call]:
    """Calls that may build the network: of the exported name first, then all that are assigned."""
    first: list[ast.expr] = []
    if export is not None and export.args:
        exported = export.args[0]
        name = name_of(exported).partition(".")[0]
        first = list(script.assigned.get(name, [])) if name else [exported]
    rest = [value for values in script.assigned.values() for value in values]
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None]
    calls: list[ast.Call] = []
    for value in (*first, *rest, *returned):
        calls += [each for each in ast.walk(value) if isinstance(each, ast.Call) and each not in calls]
    # timm's registry says more than the class that a function of the script registers.
    return sorted(calls, key=lambda call: name_of(call.func).rpartition(".")[2] != "create_model")


def _resolve(node: ast.expr, script: _Script) -> tuple[str, str]:
    """The module and the name of what is called; a lookup in a module's `__dict__` too."""
    if isinstance(node, ast.Subscript) and name_of(node.value).endswith(".__dict__"):
        key = _evaluate(node.slice, script)
        name = f"{name_of(node.value).removesuffix('.__dict__')}.{key.value if key else ''}"
    else:
        name = name_of(node)
    head, _, tail = name.partition(".")
    if head and not tail and "*" in script.imports and not _is_defined(head, script):
        return script.imports["*"], head
    whole = f"{script.imports.get(head, head)}.{tail}" if tail else script.imports.get(head, head)
    return whole.rpartition(".")[0], whole.rpartition(".")[2]


def _is_defined(name: str, script: _Script) -> bool:
    """Whether a name is the script's own, or Python's, and not of `from MODULE import *`."""
    defined = {n.name for n in ast.walk(script.tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return name in script.imports or name in script.assigned or name in defined or hasattr(builtins, name)


def _name_network(found: FoundNetwork, call: ast.Call, script: _Script) -> bool:
    module, name = _resolve(call.func, script)
    root = module.partition(".")[0]
    if name == "create_model" and root in ("timm", "geffnet"):
        return _name_created(found, call, script, root)
    if name == "from_pretrained" and "efficientnet_pytorch" in module:
        value = _evaluate(call.args[0], script) if call.args else None
        return _name_same(found, "efficientnet_pytorch", str(value.value) if value else "", call.lineno)
    if root == "torchvision" and "models" in module and name and name[0].islower():
        found.kind, found.name, found.line = "torchvision", name, call.lineno
        _read_classes(found, call, script)
        return True
    if root == "pretrainedmodels":
        return _name_same(found, root, name, call.lineno)
    own = module and root not in _NO_NETWORKS and not name.startswith(("load", "parse", "get_logger"))
    for package in (module.rpartition(".")[2], root):
        if own and (package, name) in SAME_NETWORK:
            return _name_same(found, package, name, call.lineno)
    local = next(
        (n for n in script.tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name), None
    )
    if (own and name and name not in _PLAIN) or isinstance(local, ast.ClassDef):
        found.kind, found.name, found.package, found.line = "python", name, module, call.lineno
        _read_classes(found, call, script)
        return True
    return False


_NO_NETWORKS = (
    "torch", "onnx", "os", "sys", "numpy", "argparse", "collections", "json", "yaml",
    "time", "onnxsim", "math", "copy", "onnxruntime", "random", "re", "self", "args",
    "parser", "configparser", "model", "checkpoint", "functools", "logging", "state_dict", "opt", "ssl",
    "struct", "pathlib", "subprocess", "torchvision", "PIL", "cv2", "utils", "tqdm",
)  # fmt: skip
"""Modules and names that no network comes from."""
_PLAIN = (
    "create_model",
    "update_config",
    "merge_from_file",
    "items",
    "format",
    "append",
    "simplify",
    "get",
    "ConfigParser",
)


def _name_created(found: FoundNetwork, call: ast.Call, script: _Script, root: str) -> bool:
    value = _evaluate(call.args[0] if call.args else _named(call, "model_name"), script)
    if value is None or not isinstance(value.value, str):
        return False
    own = [m for m in sorted({w.partition(".")[0] for w in script.imports.values()}) if m in _REGISTERING]
    _read_classes(found, call, script)
    for package in own:
        if (package, value.value) in SAME_NETWORK:
            return _name_same(found, package, value.value, value.line)
    found.kind, found.name, found.line = "timm", value.value, value.line
    if own or root == "geffnet":
        found.note = f"the script has it from {', '.join(own) or root}: timm's of the same name"
        found.package = (own or [root])[0]
    size = _evaluate(each, script) if (each := _named(call, "img_size")) is not None else None
    if size is not None and isinstance(size.value, int):
        found.arguments["img_size"] = size.value
    return True


_REGISTERING = ("models", "gvt", "xcit", "tnt", "volo", "tlt", "shiftvit", "smlp", "cswin")
"""Modules of their own that guides import so that timm's `create_model` knows their networks."""


def _named(call: ast.Call, name: str) -> ast.expr:
    return next(
        (each.value for each in call.keywords if each.arg == name), ast.Constant(value=None, lineno=call.lineno)
    )


def _name_same(found: FoundNetwork, package: str, name: str, line: int) -> bool:
    same = SAME_NETWORK.get((package, name))
    if not name:
        return False
    found.kind, found.name, found.line = ("timm", same, line) if same else ("python", name, line)
    found.package = package
    found.note = f"{name} of {package}, which timm took over by this name" if same else ""
    return True


def _read_classes(found: FoundNetwork, call: ast.Call, script: _Script) -> None:
    value = _evaluate(_named(call, "num_classes"), script)
    if value is not None and isinstance(value.value, int) and not isinstance(value.value, bool):
        found.classes = FoundName(str(value.value), value.line)
