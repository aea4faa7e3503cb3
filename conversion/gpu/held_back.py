"""A package that stays off cards that it has no code for: a product of matrices, and where it was computed."""

from __future__ import annotations

import importlib
from typing import Any, Iterator, Mapping, Tuple

from conversion.gpu.checks import CHECK
from conversion.verify.archs import number
from conversion.verify.rows import Row, judged

SIZE = 64


def package_rows(name: str, rule: Mapping[str, str], capability: Tuple[int, int]) -> Iterator[Row]:
    """One row: on a later card than `rule` serves the CPU must be used, on others a card may be; the result is right.

    Args:
        name: the package, which computes as TensorFlow does. capability: of the card that torch uses.
    """
    module: Any = importlib.import_module(name)
    ones = module.ones((SIZE, SIZE))
    product = module.linalg.matmul(ones, ones)
    right = bool((product.numpy() == SIZE).all())
    where = str(product.device).rpartition("device:")[2] or str(product.device)
    late = capability > number(rule["up_to"])
    expected = "right, on the CPU" if late else "right"
    found = f"{'right' if right else 'wrong'}, on {where}"
    detail = f"{name} {module.__version__}, card {capability[0]}.{capability[1]}, served up to {rule['up_to']}"
    yield judged(CHECK, name, expected, found, right and (not late or where.startswith("CPU")), detail)
