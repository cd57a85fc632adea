"""One to three examples of each verb, at the end of its help; a test reads every one as the command line does."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "doctor": ("doctor", "doctor openvino:bf16", "doctor --images imagenet/val --labels val_label.txt"),
    "recipes list": ("recipes list 'timm:resnet50*'", "recipes list 'torchvision:*'"),
    "recipes make": ("recipes make timm:resnet50.a1_in1k --output card.toml",),
    "recipes show": ("recipes show resnet50", "recipes show resnet50 --preset guide-8p"),
    "recipes check": ("recipes check timm:resnet50.a1_in1k", "recipes check card.toml --images imagenet/val"),
    "recipes claims": ("recipes claims resnet50", "recipes claims README.md"),
    "recipes import-guide": ("recipes import-guide SPNASNet-100 --output spnasnet.toml",),
    "recipes tables": ("recipes tables spnasnet_100 --format guide",),
    "recipes schema": ("recipes schema", "recipes schema verdict"),
    "recipes fetch": ("recipes fetch torchvision:resnet50",),
    "data make-demo": ("data make-demo digits",),
    "data check": ("data check resnet50 --images imagenet/val --labels val_label.txt --expect 50000",),
    "data info": ("data info prep_dataset --output prep.info --width 224 --height 224",),
    "data pack": ("data pack resnet50 imagenet/val --labels val_label.txt --output val.pack",),
    "data prepare": (
        "data prepare --val ILSVRC2012_img_val.tar --devkit ILSVRC2012_devkit_t12.tar.gz --output imagenet",
    ),
    "check-app kit": ("check-app kit trial --output kit",),
    "check-app judge": ("check-app judge kit my-output", "check-app judge kit logits.npy --json"),
    "preprocess": ("preprocess resnet50 imagenet/val prep_dataset --info prep.info",),
    "train": (
        "train resnet50 --data imagenet --output trained",
        "train resnet50 --data imagenet --output trained --preset guide-8p --nproc 8",
    ),
    "export": (
        "export timm:resnet50.a1_in1k --output model.onnx",
        "export card.toml --checkpoint weights.pth --images imagenet/val --output model.onnx",
    ),
    "simplify": ("simplify model.onnx simple.onnx --input-shape 16,3,224,224",),
    "quantize": ("quantize model.onnx --calibration imagenet/train --output model-int8.onnx",),
    "compile": (
        "compile model.onnx --engine openvino --precision bf16 --output engines/openvino-bf16",
        "compile model.onnx --engine onnxruntime --tune --output engines/onnxruntime",
    ),
    "infer": ("infer engines/openvino --input prep_dataset --output results --batch-size 16",),
    "evaluate": (
        "evaluate engines/torch --images imagenet/val --labels val_label.txt --output accuracy",
        "evaluate engines/openvino --images imagenet/val --labels val_label.txt --output accuracy "
        "--reference accuracy/torch.parquet --gate-pp 1",
    ),
    "score": ("score results val_label.txt scores result.json",),
    "diagnose": ("diagnose trial", "diagnose trial --limit 512 --json"),
    "bench": (
        "bench engines/openvino --output openvino.json --batch-size 1,8 --duration 10",
        "bench engines/openvino --output openvino.json --scope host,e2e --images imagenet/val",
    ),
    "load-test": ("load-test engines/openvino --scenario server --target-qps 200 --output server.json",),
    "import-log": ("import-log trtexec trtexec.log --device T4 --output T4.json",),
    "compare": (
        "compare monday tuesday --max-slower-pct 5",
        "compare openvino.json T4.json --gate 'best(T4) >= 2 * best(openvino)' --allow machine",
        "compare accuracy/torch.parquet accuracy/openvino.parquet --gate-pp 1",
    ),
    "board": ("board trials --output board.html", "board trials --format md --since older"),
    "ui": ("ui trials", "ui trials --port 8000 --no-browser"),
    "report": (
        "report trial",
        "report trial --format junit --output junit.xml",
        "report trial --format guide --language zh",
    ),
    "run": (
        "run card.toml --checkpoint weights.pth --images imagenet/val --labels val_label.txt --output trial",
        "run timm:resnet50.a1_in1k --images photos --engines openvino:bf16 --gate 'agreement >= 0.99' --output trial",
        "run --config run.toml --dry-run",
    ),
    "run-many": ("run-many list.toml --output trials",),
    "choose": (
        "choose trial --goal throughput --max-drop-pp 0.5",
        "choose timm:resnet50.a1_in1k --goal latency=10ms@p99 --images imagenet/val --labels val_label.txt "
        "--calibration imagenet/train --time-budget 10m --output trial",
    ),
    "package": ("package trial --engine openvino-bf16 --output bundle",),
    "demo": ("demo", "demo --output demo-run --force"),
    "compat": ("compat --list", "compat --engine onnxruntime python imagenet_torch_preprocess.py resnet val prep"),
}
"""By the verb; each the words after `seatrial`."""
IN_GROUPS: Mapping[str, tuple[str, ...]] = {
    "recipes": ("recipes list", "recipes make", "recipes check"),
    "data": ("data make-demo", "data check", "data prepare"),
    "check-app": ("check-app kit", "check-app judge"),
}
"""By the group of verbs, those whose first example its own help has."""


def add_examples(command: Any, name: str = "") -> Any:
    """The command, each of its verbs with its examples at the end of its help."""
    for word, verb in getattr(command, "commands", {}).items():
        add_examples(verb, f"{name} {word}".strip())
    examples = EXAMPLES.get(name, [EXAMPLES[verb][0] for verb in IN_GROUPS.get(name, ())])
    if examples:
        command.epilog = "\n".join(["\b", "Examples:", *(f"  seatrial {words}" for words in examples)])
    return command
