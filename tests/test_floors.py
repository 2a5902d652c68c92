"""Who may call whom: the floors and package rules of the design, kept by walking the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# A file imports only from floors below it, or from its own package.
FLOORS: dict[float, tuple[str, ...]] = {
    7: ("scripts.*",),
    6.5: ("nmt.translation_speed",),
    6: (
        "nmt",
        "nmt.serving",
        "nmt.serving.*",
        "nmt.export",
        "nmt.formats",
        "nmt.training.ending",
        "nmt.training.launch",
        "nmt.training.benchmark",
    ),
    5: ("nmt.training.trainer", "nmt.training.validation", "nmt.translator"),
    4: (
        "nmt.training",
        "nmt.training.checkpoint",
        "nmt.training.files",
        "nmt.training.lexicon",
        "nmt.training.lock",
        "nmt.training.recovery",
        "nmt.training.resume",
        "nmt.training.seen",
        "nmt.training.signals",
        "nmt.training.state",
        "nmt.training.weights",
        "nmt.training.report",
        "nmt.training.optim",
        "nmt.training.loss",
        "nmt.training.pace",
        "nmt.training.progress",
        "nmt.training.schedule",
        "nmt.training.update",
        "nmt.training.distributed",
    ),
    3.5: ("nmt.evaluation", "nmt.evaluation.*"),
    3: (
        "nmt.decoding",
        "nmt.decoding.*",
        "nmt.data",
        "nmt.data.alignments",
        "nmt.data.batching",
        "nmt.data.cache",
        "nmt.data.cleaning",
        "nmt.data.corpus",
        "nmt.data.drawing",
        "nmt.data.encoded",
        "nmt.data.ids",
        "nmt.data.keys",
        "nmt.data.lengths",
        "nmt.data.inspection",
        "nmt.data.lexicon",
        "nmt.data.named",
        "nmt.data.sources",
        "nmt.data.splits",
        "nmt.attention_map",
        "nmt.models",
    ),
    2: ("nmt.models.cache", "nmt.models.precision", "nmt.models.rnn", "nmt.models.transformer"),
    1: (
        "nmt.models.attention",
        "nmt.models.dropout",
        "nmt.models.gradient",
        "nmt.models.layers",
        "nmt.models.linear",
        "nmt.models.products",
        "nmt.models.recurrent",
        "nmt.models.scores",
        "nmt.models.seq2seq",
        "nmt.data.batch",
        "nmt.data.normalization",
        "nmt.data.readers",
        "nmt.data.readers.*",
        "nmt.data.tokenizer",
        "nmt.data.vocabulary",
        "nmt.data.words",
    ),
    0.7: ("nmt.data.archives", "nmt.data.files", "nmt.data.languages", "nmt.sweep"),
    0.6: ("nmt.groups", "nmt.initial"),
    0.4: ("nmt.commands", "nmt.fonts", "nmt.screen"),
    0.5: ("nmt.allocator", "nmt.compose", "nmt.cli", "nmt.device", "nmt.help", "nmt.stream"),
    0.2: ("nmt.disk", "nmt.overrides", "nmt.plain_yaml"),
    0.1: ("nmt.config",),
    0: ("nmt.errors", "nmt.writing"),
}

# What a package of ours may not import at all, and what alone it may import.
FORBIDDEN = {"nmt.models*": ("nmt.data*",)}
ALONE = {
    "nmt.decoding*": (
        *("nmt.decoding*", "nmt.models.seq2seq"),
        *("nmt.config", "nmt.errors", "nmt.writing"),
    )
}

# Who may import a package of others; the optional ones only where they are used, so that the rest
# works without them and starts fast.
OWNERS = {
    "omegaconf": ("nmt.compose", "nmt.groups", "scripts.*"),
    "hydra": ("nmt.groups", "nmt.sweep", "scripts.*"),
    "matplotlib": ("nmt.attention_map", "nmt.fonts"),
    "tensorboard": ("nmt.training.report",),
    "torch.utils.tensorboard": ("nmt.training.report",),
    "fastapi": ("nmt.serving*",),
    "uvicorn": ("nmt.serving*",),
    "ctranslate2": ("nmt.export",),
    "py3langid": ("nmt.data.inspection",),
}
LAZY = ("matplotlib", "ctranslate2", "sacrebleu", "py3langid")
# No script makes `--help` wait for these.
HEAVY = (
    *LAZY,
    "tensorboard",
    "torch",
    "datasets",
    "pyarrow",
    "sentencepiece",
    "rich",
    "fastapi",
    "uvicorn",
)


class Import(NamedTuple):
    name: str
    at_start: bool  # runs when the file is imported: not in a function, not for types alone


def files() -> dict[str, Path]:
    """Every module of the project by its name."""
    paths = sorted(path for top in ("nmt", "scripts") for path in (ROOT / top).rglob("*.py"))
    return {module_name(path.relative_to(ROOT)): path for path in paths}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = files()


def imports(module: str) -> list[Import]:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return list(walk(tree, module, at_start=True))


def walk(node: ast.AST, module: str, *, at_start: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for name in imported(child, module):
                yield Import(name, at_start)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from walk(child, module, at_start=at_start and not later and not for_types)


def imported(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    """The modules, each as far as it is one: `from nmt import config` imports nmt.config."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        is_package = MODULES[module].name == "__init__.py"
        above = module.split(".")[: None if is_package and node.level == 1 else -node.level]
        base = ".".join([*above, base] if base else above)
    whole = [f"{base}.{alias.name}" for alias in node.names]
    return [
        name if name in MODULES or name == "torch.utils.tensorboard" else base for name in whole
    ]


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def is_ours(name: str) -> bool:
    return name.split(".")[0] in ("nmt", "scripts")


def floor_of(module: str) -> float:
    for floor, patterns in FLOORS.items():
        if matches(module, patterns):
            return floor
    raise AssertionError(
        f"{module} is on no floor: give it one in FLOORS of tests/test_floors.py (and in DESIGN.md)"
    )


def home(module: str) -> str:
    """The package a module lives in; that of a package is itself."""
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def test_the_project_is_found() -> None:
    assert {"nmt.config", "nmt.models", "nmt.attention_map", "scripts.evaluate"} <= set(MODULES)
    assert "nmt.config" in [found.name for found in imports("nmt.attention_map")]


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_from_floors_below(module: str) -> None:
    floor = floor_of(module)
    for name in {found.name for found in imports(module) if is_ours(found.name)}:
        beside = floor_of(name) == floor and home(name) == home(module) != "nmt"
        assert floor_of(name) < floor or beside, (
            f"{module} is on floor {floor} and imports {name} from floor {floor_of(name)}"
        )


@pytest.mark.parametrize("module", MODULES)
def test_packages_keep_to_themselves(module: str) -> None:
    for name in {found.name for found in imports(module) if is_ours(found.name)}:
        for package, patterns in FORBIDDEN.items():
            assert not (fnmatch(module, package) and matches(name, patterns)), f"{module}: {name}"
        for package, patterns in ALONE.items():
            assert not fnmatch(module, package) or matches(name, patterns), f"{module}: {name}"


@pytest.mark.parametrize("module", MODULES)
def test_packages_of_others_have_one_owner_each(module: str) -> None:
    for found in imports(module):
        for package, owners in OWNERS.items():
            allowed = not within(found.name, package) or matches(module, owners)
            assert allowed, f"{module} imports {found.name}, which only {', '.join(owners)} may"


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_where_they_are_used(module: str) -> None:
    heavy = HEAVY if fnmatch(module, "scripts.*") else LAZY
    for name in {found.name for found in imports(module) if found.at_start}:
        late = [package for package in heavy if within(name, package)]
        assert not late, (
            f"{module} imports {name} at its top: import it in the function that uses it"
        )
