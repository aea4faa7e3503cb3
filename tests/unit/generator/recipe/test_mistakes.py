from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bake.errors import UsageError
from generator.recipe import Recipe, load_recipe
from generator.recipe.places import key_lines

Writer = Callable[[str], Path]
HASH = "0" * 64
TOOLKIT = '[toolkit]\nsource = "wheels"\ninstall = ["cuda-toolkit==13.0.2"]\n'
SDIST = f'{TOOLKIT}[extensions.x]\nsource = "sdist"\nversion = "1"\nsha256 = "{HASH}"\n'
WHEEL = '[extensions.x]\nsource = "wheel"\nversion = "1"\npage = "https://e.org/"\n'
PROBE = '[models.m]\nfiles = ["/a/*"]\n[models.m.probe]\n'


def said(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_recipe(str(path))
    assert caught.value.exit_status == 2
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        "[builder]\ndriver = 'docker-container'\n",
        "[builder]\nname = 'farm'\ndriver-opts = { security = 'privileged' }\n",
        "[image.builder]\nname = 'farm'\n",
        "[run.builder]\nname = 'farm'\n",
        "[[builders]]\nname = 'farm'\n",
    ],
)
def test_no_recipe_names_or_describes_a_builder(minimal: str, write_recipe: Writer, more: str) -> None:
    text = minimal.replace("[image]\n", f"{more}[image]\n") if "." in more else f"{minimal}\n{more}"
    assert "builder" in said(write_recipe(text))
    assert "builder" not in str(Recipe.model_json_schema()).lower()
    said(write_recipe(f"builder = 'farm'\n{minimal}"))


@pytest.mark.parametrize(
    "more",
    [
        WHEEL.replace("//e.org", "//me:canary@e.org"),
        "[assets.y]\nurl = 'https://me:canary@e.org/y'\n",
        "[assets.y]\nurl = 'https://e.org/y'\nalternatives = ['htps://me:canary@e.org/y']\n",
        "[mirrors]\n'https://e.org/' = 'https://me:canary@e.org/'\n",
    ],
)
def test_an_address_with_a_login_is_refused_and_not_shown(minimal: str, write_recipe: Writer, more: str) -> None:
    message = said(write_recipe(minimal + more))
    assert "an address with a login" in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            f'{SDIST}asset = "y"\n',
            ':24: extensions.x.asset: source = "sdist" does not use it, only "archive": remove the line',
        ),
        (f'{WHEEL}commit = "x"\n', 'source = "wheel" does not use it, only "archive" and "git"'),
        (f'{WHEEL}env = {{ A = "1" }}\n', "extensions.x.env: nothing is compiled here"),
        (f'{WHEEL}sha256 = "{HASH}"\n', "extensions.x.sha256: nothing is compiled here"),
        (f'{TOOLKIT}keep = ["x"]\n', 'toolkit.keep: source = "wheels" does not use it, only "runfile" and "image"'),
        ('[extensions.x]\nversion = "1"\n', "extensions.x.source: missing; it is one of"),
        (WHEEL.replace('"wheel"', '"whl"'), """'whl' is none of "wheel", "sdist", "archive", "git\""""),
        (
            SDIST.replace(".x]", ".wheel]") + "verson = 1\n",
            'extensions.wheel.verson: unknown key; did you mean "version"?',
        ),
        (f'{SDIST}env = {{ "A B;x" = "1" }}\n', "'A B;x' is not a name of an environment variable"),
        (f'{SDIST}env = {{ A = "1\\nRUN rm" }}\n', "extensions.x.env: '1\\nRUN rm' has a line break"),
        (SDIST.replace('"1"', '"1\\nRUN rm"'), "extensions.x.version: '1\\nRUN rm' is not a version"),
        (SDIST.replace('"1"', '"1.x"'), "extensions.x.version: '1.x' is not a version"),
        (SDIST.replace(".x]", ".torch]"), "extensions.torch: [stack] installs this package"),
        ("[assets.y]\nurl = 'https://e.org/y'\n", "assets.y: nothing is made of it"),
        ('[verify]\npath = ["/a"]\n', "verify.path: only checkpoints"),
        ('[patch]\nroots = ["/a"]\ncodemods = ["torch-laod"]\n', "patch.codemods"),
        (f"{PROBE}inputs = [{{ shape = [-1] }}]\n", "-1 is neither a whole number nor a named size"),
        (f"{PROBE}sizes.v = -3\ninputs = [{{ shape = ['v'] }}]\n", "models.m.probe.sizes.v: must not be negative"),
        (f"{PROBE}inputs = [{{ shape = [1], scale = nan }}]\n", "scale: input should be a finite number, not nan"),
        (
            '[models.m]\nfiles = ["/a/*"]\nunprobed = "none"\ntolerance = { float32 = 0.1, reason = "x" }\n',
            "models.m.tolerance: nothing is held against it",
        ),
        ("[clean]\nimages = " + "[" * 5000 + "]" * 5000 + "\n", "nested too deeply"),
        (f"# {'x' * (4 << 20)}\n", "characters, more than 4194304"),
        (f"[clean]\nimages = {'[' * 60}{']' * 60}\n", "nested too deeply; 50 levels are read"),
        (f"[clean]\nimages = {'{ a = ' * 60}1{'}' * 60}\n", "nested too deeply; 50 levels are read"),
        (f"[clean]\nimages = {'[' * 40}{']' * 40}\n", "clean.images.0: input should be a valid string, not [[[["),
    ],
)
def test_what_has_no_effect_or_can_not_be_is_refused(
    minimal: str, write_recipe: Writer, more: str, message: str
) -> None:
    assert message in said(write_recipe(f"{minimal}\n{more}"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"13.0"', '"99.9"', "recipe.toml:13: stack.cuda: '99.9' is not a CUDA release; known are 11.0"),
        ('"13.0"', '"12.7"', "'12.7' is not a CUDA release"),
        ("torch==2.11.0", "torch==2.*", "'torch==2.*' is not pinned"),
        ("torch==2.11.0", "torch==x", "'torch==x' is not pinned"),
        ('["torch==2.11.0"]', '["torch==2.11.0", "Torch==2.10.0"]', "stack.install.1: torch is pinned to 2.11.0 too"),
        ('"/opt/env"', '"/opt,readonly=false"', "base.prefix: '/opt,readonly=false' holds ','"),
        ('"/opt/env"', '"/opt/my env"', "holds a blank"),
        ('"/opt/env"', '"/opt/$HOME"', "holds '$'"),
        ('"A small recipe"', '"A\\nsmall recipe"', "recipe.toml:3: summary: 'A\\nsmall recipe' has a line break"),
        ("tag =", "disk-gib = 1e300\ntag =", "image.disk-gib: input should be less than or equal to 1000000"),
        ("tag =", "disk-gib = inf\ntag =", "image.disk-gib: input should be a finite number, not inf"),
        ("tag =", f"disk-gib = 1{'0' * 400}\ntag =", "image.disk-gib: input should be a valid number, not 1000"),
        ("tag =", f"disk-gib = 1{'0' * 5000}\ntag =", "not valid TOML"),
        ("[stack]", '[stack]\nexpect = { torch = "2.10.0" }', "stack.expect.torch: it is 2.10.0 here, and 2.11.0 is"),
        ("[stack]", f'[stack]\nfrom = "{"x" * 5000}"', "is not the name of a stack"),
        ("[stack]", '[stack]\nfrom = "../mine"', "'../mine' is not the name of a stack"),
    ],
)
def test_a_value_that_can_not_be_is_refused(
    minimal: str, write_recipe: Writer, old: str, new: str, message: str
) -> None:
    assert old in minimal
    text = said(write_recipe(minimal.replace(old, new, 1)))
    assert message in text
    assert len(text) < 1000


def test_a_local_part_may_be_expected_of_a_plain_pin(minimal: str, write_recipe: Writer) -> None:
    text = minimal.replace("[stack]", '[stack]\nexpect = { torch = "2.11.0+cu130" }')
    assert load_recipe(str(write_recipe(text))).recipe.stack.expect == {"torch": "2.11.0+cu130"}


def test_a_byte_order_mark_is_left_out(minimal: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(f"\ufeff{minimal}", encoding="utf-8")
    assert load_recipe(str(tmp_path / "r.toml")).text == minimal


def test_a_key_of_a_function_that_does_nothing_is_refused(minimal: str, write_recipe: Writer, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("def probe(checkpoint, file):\n    return 1\n")
    text = f'{minimal}\n{PROBE}at = ["x"]\nfunction = "p.py:probe"\n'
    assert "models.m.probe.at: a function does without it" in said(write_recipe(text))


def test_what_stands_in_values_of_several_lines_is_no_key() -> None:
    text = """\
a = '''
[x]
b = 1
'''
b = 2
l = [
  [1],
  [2]
] # [
[t] # {
c = "[\\" "
d = { x = [
1 ] }
e = \"\"\"
e = 1\"\"\"
[[q]]
"""
    found = {".".join(path): line for path, line in key_lines(text).items()}
    assert found == {"a": 1, "b": 5, "l": 6, "t": 10, "t.c": 11, "t.d": 12, "t.e": 14, "q": 16}
