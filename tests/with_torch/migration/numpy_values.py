"""numpy's scalars, arrays and generators as attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.with_torch.migration.case import (
    fill,
)
from tests.with_torch.migration.code import CodeCase


class NumpyValues(CodeCase):
    """numpy scalars and arrays: dtype, order, zero dimensions, booleans, dates, strings."""

    def values(self) -> list[Any]:
        fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
        dates = np.array(["2023-01-02", "NaT"], dtype="datetime64[D]")
        arrays = [np.array(3), fortran, np.array([True, False]), dates, np.array(["a", "bcd"]), np.zeros((0, 2), "f2")]
        return [np.float64(0.1), np.float32(0.1), np.int64(3), np.bool_(True), *arrays]

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.kept = self.values()
        return made

    def keep(self, found: Any, net: Any) -> None:
        for value, asked in zip(found.kept, self.values()):
            assert type(value) is type(asked)
            assert value.dtype == asked.dtype
            assert value.tobytes() == asked.tobytes()
            assert value.shape == asked.shape
        assert found.kept[5].flags.f_contiguous


class NumpyRecords(CodeCase):
    """Structured and object arrays, masked ones, dtypes, an array that the model shares."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.records = np.array([(1, 2.5, "a")], dtype=[("x", "<i4"), ("y", "<f8"), ("z", "U3")])
        made.objects = np.array([{"a": 1}, made.first, None], dtype=object)
        made.masked = np.ma.masked_array([1.0, 2.0], mask=[False, True])
        made.again = {"records": made.records, "dtype": np.dtype("f4")}
        return made

    def keep(self, found: Any, net: Any) -> None:
        assert found.records["z"][0] == "a"
        assert found.records.dtype.names == ("x", "y", "z")
        assert found.objects[1] is found.first
        assert found.objects[0] == {"a": 1}
        assert found.masked.mask.tolist() == [False, True]
        assert found.again["records"] is found.records
        assert found.again["dtype"] == np.float32


class NumpyGenerator(CodeCase):
    """numpy's random generators with their state."""

    def make(self, net: Any) -> Any:
        made = fill(net.Net())
        made.generator, made.old = np.random.default_rng(3), np.random.RandomState(4)
        made.generator.random(5)
        return made

    def keep(self, found: Any, net: Any) -> None:
        asked = np.random.default_rng(3)
        asked.random(5)
        assert found.generator.random() == asked.random()
        assert found.old.rand() == np.random.RandomState(4).rand()
