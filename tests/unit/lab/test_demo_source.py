"""The demo's sources have the traps that they are there for; nothing here imports torch."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[3] / "contexts" / "demo-base"
SUGAR = DEMO / "source" / "SUGAR"
FASTCSR = DEMO / "source" / "FastCSR"
SOURCES = sorted(DEMO.rglob("*.py"))
CONSTRUCTOR = [
    "in_channels",
    "out_channels",
    "num_heads",
    "dropout",
    "use_position_decoding",
    "use_residual",
    "ico_level",
    "input_dropout",
    "euler_scale",
    "rigid",
]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def function(module: ast.Module, name: str) -> ast.FunctionDef:
    return next(node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == name)


def imported(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return names


def of_the_guide(text: str) -> str:
    """What the two sed calls of the manual procedure make of a source."""
    text = re.sub(
        r"torch\.load\(([^,)]*), map_location=([^,)]*)\)",
        r"torch.load(\1, map_location=\2, weights_only=False)",
        text,
    )
    return re.sub(r"torch\.load\(([^,)]*)\)", r"torch.load(\1, weights_only=False)", text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(DEMO)))
def test_sources_compile(path: Path) -> None:
    compile(path.read_bytes(), str(path), "exec")


@pytest.mark.parametrize("name", ["get_network_index", "get_pooling_index", "get_unpooling_index"])
def test_index_tensors_go_to_cuda_by_default(name: str) -> None:
    arguments = function(parsed(SUGAR / "utils" / "pooling.py"), name).args
    assert arguments.args[-1].arg == "device"
    assert ast.literal_eval(arguments.defaults[-1]) == "cuda"


def test_the_model_never_says_a_device() -> None:
    names = {node.arg for node in ast.walk(parsed(SUGAR / "gatunet_model.py")) if isinstance(node, ast.keyword)}
    assert "device" not in names


def assigned(node: ast.AST) -> set[str]:
    """Names of the attributes of ``self`` that some code assigns."""
    return {
        target.attr
        for found in ast.walk(node)
        if isinstance(found, ast.Assign)
        for target in found.targets
        if isinstance(target, ast.Attribute)
    }


def test_the_module_keeps_what_the_real_class_keeps_and_no_more() -> None:
    model = next(
        node
        for node in ast.walk(parsed(SUGAR / "gatunet_model.py"))
        if isinstance(node, ast.ClassDef) and node.name == "GatUNet"
    )
    methods = {node.name: node for node in model.body if isinstance(node, ast.FunctionDef)}
    assert [argument.arg for argument in methods["__init__"].args.args[1:]] == CONSTRUCTOR
    kept = assigned(methods["__init__"])
    assert kept & set(CONSTRUCTOR) == {
        "use_position_decoding",
        "use_residual",
        "input_dropout",
        "euler_scale",
        "rigid",
    }
    assert {"edges", "between", "activate_layer", "edge_e", "pe", "theta_phi"} <= kept
    assert "p_e" in assigned(methods["forward"]) - kept


def test_index_tensors_are_no_buffers() -> None:
    assert "register_buffer" not in (SUGAR / "gatunet_model.py").read_text()


def test_the_import_chain_reaches_both_packages() -> None:
    assert "utils.rotate_matrix" in imported(parsed(SUGAR / "gatunet_model.py"))
    assert "utils.interp_fine" in imported(parsed(SUGAR / "utils" / "rotate_matrix.py"))
    assert {"pytorch3d.ops.knn", "torch_spline_conv"} <= imported(parsed(SUGAR / "utils" / "interp_fine.py"))
    assert "torch_scatter" in imported(parsed(SUGAR / "utils" / "pooling.py"))


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("level_set.py", 'torch.load(os.path.join(model_dir, name + ".pth"), map_location=torch.device("cpu"))'),
        ("level_set.py", 'torch.load(open(path, "rb"))'),
        ("surfaces.py", "th.load(a)"),
        ("weights.py", 'load(path, map_location="cpu")'),
    ],
)
def test_the_guides_sed_misses(file: str, wrong: str) -> None:
    text = (FASTCSR / file).read_text()
    assert wrong in text
    assert wrong in of_the_guide(text)


@pytest.mark.parametrize(
    ("file", "corrupted"),
    [
        (FASTCSR / "level_set.py", "torch.load(str(path, weights_only=False))"),
        (SUGAR / "predict.py", "torch.load(str(path, weights_only=False), map_location=torch.device(device))"),
        (FASTCSR / "level_set.py", 'HINT = "weights are read with torch.load(path, weights_only=False)"'),
        (FASTCSR / "level_set.py", "# Old code said torch.load(path, weights_only=False) here"),
    ],
)
def test_the_guides_sed_corrupts(file: Path, corrupted: str) -> None:
    assert corrupted not in file.read_text()
    assert corrupted in of_the_guide(file.read_text())


def test_there_are_bytes_that_a_careless_rewrite_changes() -> None:
    legacy = (FASTCSR / "legacy.py").read_bytes()
    assert legacy.count(b"\r\n") == legacy.count(b"\n") > 10
    assert b"\r\n\treturn torch.load(path)\r\n" in legacy
    assert "größe" in (FASTCSR / "surfaces.py").read_text(encoding="utf-8")


def test_every_version_is_pinned() -> None:
    for name in ("requirements.txt", "extensions.txt"):
        lines = (DEMO / name).read_text().splitlines()
        assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_models_vary() -> None:
    module = parsed(DEMO / "make_models.py")
    kinds = next(
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "KINDS"
    )
    assert len(kinds) * 2 >= 4
    for argument in ("rigid", "ico_level", "euler_scale", "num_heads", "use_position_decoding"):
        assert len({kind[argument] for kind in kinds.values()}) > 1, argument


REAL = DEMO.with_name("real-base")


def test_the_real_bases_lists_are_pinned_and_its_script_compiles() -> None:
    for name in ("requirements.txt", "extensions.txt"):
        lines = (REAL / "environment" / name).read_text().splitlines()
        assert all("==" in line for line in lines if line and not line.startswith("#"))
    script = REAL / "models" / "make_models.py"
    compile(script.read_bytes(), str(script), "exec")


def test_the_real_base_has_the_versions_of_deepprep() -> None:
    lines = (REAL / "environment" / "requirements.txt").read_text().splitlines()
    assert {"torch==2.0.1", "torch-geometric==2.2.0", "numpy==1.26.4", "nnunet==1.7.1"} <= set(lines)
