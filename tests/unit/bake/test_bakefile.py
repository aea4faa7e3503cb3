from __future__ import annotations

import pytest

from bake.bakefile import names_in, read_bake_file
from bake.errors import UsageError

TEXT = """
variable "TAG" {
  default = "x" # variable "NOT" {
}
group "default" {
  targets = ["image"]
}
target "_common" {
}
target "torch" {
  contexts = { base = "docker-image://${BASE}" }
}
target "image" {
  inherits = ["_common"]
  contexts = {
    torch = "target:torch"
    "wheel-x" = "target:wheel-x"
  }
}
target "wheel-x" {
  contexts = { torch = "target:torch" }
}
"""


def test_names_and_links():
    names = names_in(TEXT)
    assert names.variables == ("TAG",)
    assert names.targets == ("_common", "torch", "image", "wheel-x")
    assert names.groups == ("default",)
    assert names.links["image"] == {"torch", "wheel-x"}
    assert names.needs("wheel-x") == {"torch"}
    assert names.needs("nothing") == frozenset()


def test_a_cycle_ends():
    names = names_in('target "a" {\n x = "target:b"\n}\ntarget "b" {\n x = "target:a"\n}\n')
    assert names.needs("a") == {"a", "b"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_names_itself(tmp_path, content):
    path = tmp_path / "docker-bake.hcl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        read_bake_file(path)
    assert caught.value.where == str(path)
