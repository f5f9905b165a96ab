"""Write ONNX graphs node by node, with weights in memory or streamed beside the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.model.weights import Weights

OPSET: Final = 21
IR_VERSION: Final = 10
CONTRIB: Final = "com.microsoft"
END: Final = 2**62
"""Past any axis: a slice to the end."""

MASKED: Final = -1e4
"""Added to hidden scores: far below any score, and finite in float16."""

EXTERNAL_FROM_BYTES: Final = 1024
ALIGNMENT: Final = 64


@dataclass(frozen=True, kw_only=True)
class Precision:
    """In what numbers a graph stores its weights and computes; inputs and outputs are float32 always."""

    name: str
    suffix: str
    """What transformers.js expects in the file's name."""
    storage: type[np.floating[Any]]
    compute: type[np.floating[Any]]

    @property
    def onnx_compute(self) -> int:
        """ONNX's number for the compute type."""
        return int(TensorProto.FLOAT16 if self.compute is np.float16 else TensorProto.FLOAT)


PRECISIONS: Final = {
    precision.name: precision
    for precision in (
        Precision(name="fp32", suffix="", storage=np.float32, compute=np.float32),
        Precision(name="fp32-half", suffix="", storage=np.float16, compute=np.float32),
        Precision(name="fp16", suffix="_fp16", storage=np.float16, compute=np.float16),
    )
}
"""``fp32-half`` computes as ``fp32`` does and has half its size: the runtime widens the weights when it loads them."""


class Graph:
    """A graph under construction. Every method that adds a node returns the name of its output."""

    def __init__(self, weights: Weights, precision: Precision, external: BinaryIO | None = None) -> None:
        self.precision = precision
        self._weights = weights
        self._external = external
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._inner: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str], *, integer: bool = False) -> str:
        """Declare an input; a float input arrives as float32 and is returned in the compute type."""
        kind = TensorProto.INT64 if integer else TensorProto.FLOAT
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name if integer else self.computed(name)

    def output(self, name: str, source: str, shape: Sequence[int | str]) -> None:
        """Declare a float32 output and where it comes from."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        # The runtime infers that attention's present cache is as long as its past, and would lay one over the other.
        self._inner.append(helper.make_tensor_value_info(source, self.precision.onnx_compute, shape))
        if self.precision.compute is np.float32:
            self.op("Identity", source, out=name)
        else:
            self.op("Cast", source, out=name, to=TensorProto.FLOAT)

    def computed(self, name: str) -> str:
        """Bring a float32 value into the compute type."""
        if self.precision.compute is np.float32:
            return name
        return self.op("Cast", name, to=self.precision.onnx_compute)

    def op(self, kind: str, *inputs: str, out: str | None = None, domain: str = "", **attributes: object) -> str:
        """Add a node with one output."""
        return self.ops(kind, *inputs, out=[out or f"{kind}_{len(self._nodes)}"], domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: str, out: Sequence[str], domain: str = "", **attributes: object) -> list[str]:
        """Add a node with several outputs."""
        self._nodes.append(
            helper.make_node(
                kind, list(inputs), list(out), name=f"{kind}_{len(self._nodes)}", domain=domain, **attributes
            )
        )
        return list(out)

    def integers(self, *values: int) -> str:
        """Return a constant vector of int64."""
        return self._constant(f"int_{'_'.join(map(str, values))}", np.array(values, dtype=np.int64))

    def integer(self, value: int) -> str:
        """Return a constant int64 scalar."""
        return self._constant(f"int_scalar_{value}", np.array(value, dtype=np.int64))

    def number(self, value: float) -> str:
        """Return a constant scalar of the compute type."""
        return self._constant(f"number_{value}", np.array(value, dtype=self.precision.compute))

    def exact(self, value: float) -> str:
        """Return a constant float32 scalar whatever the compute type, for index arithmetic."""
        return self._constant(f"exact_{value}", np.array(value, dtype=np.float32))

    def table(self, name: str, values: NDArray[np.float32]) -> str:
        """Return a constant of the compute type that is no learnt weight."""
        return self._constant(name, values.astype(self.precision.compute))

    def exact_table(self, name: str, values: NDArray[np.float32]) -> str:
        """Return a constant float32 tensor whatever the compute type."""
        return self._constant(name, values)

    def stored(self, name: str, *, transposed: bool = False) -> str:
        """Return a learnt weight in the storage type."""
        key = f"{name}.T" if transposed else name
        if key not in self._initializers:
            value = self._weights[name]
            self._add(key, np.ascontiguousarray(value.T if transposed else value, dtype=self.precision.storage))
        return key

    def weight(self, name: str, *, transposed: bool = False) -> str:
        """Return a learnt weight in the compute type."""
        key = self.stored(name, transposed=transposed)
        if self.precision.storage is self.precision.compute:
            return key
        return self.op("Cast", key, to=self.precision.onnx_compute)

    def linear(self, x: str, name: str, *, bias: bool) -> str:
        """Apply a linear layer to the last axis."""
        product = self.op("MatMul", x, self.weight(f"{name}.weight", transposed=True))
        return self.op("Add", product, self.weight(f"{name}.bias")) if bias else product

    def size(self, x: str, axis: int) -> str:
        """Return one length of a tensor as an int64 scalar."""
        return self.op("Gather", self.op("Shape", x), self.integer(axis), axis=0)

    def part(self, x: str, start: int, end: int, axis: int) -> str:
        """Slice one axis."""
        return self.op("Slice", x, self.integers(start), self.integers(end), self.integers(axis))

    def save(self, path: Path) -> None:
        """Write the model, checked. Its external data must be complete by now."""
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                path.stem,
                self._inputs,
                self._outputs,
                list(self._initializers.values()),
                value_info=self._inner,
            ),
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)],
            ir_version=IR_VERSION,
            producer_name="galamsey",
        )
        path.write_bytes(model.SerializeToString(deterministic=True))

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self._initializers:
            self._add(name, value)
        return name

    def _add(self, name: str, value: NDArray[Any]) -> None:
        if self._external is None or value.nbytes < EXTERNAL_FROM_BYTES:
            self._initializers[name] = numpy_helper.from_array(value, name)
            return
        self._external.write(b"\0" * (-self._external.tell() % ALIGNMENT))
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(value.dtype), dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": _base_name(self._external), "offset": self._external.tell(), "length": value.nbytes}
        for key, content in place.items():
            tensor.external_data.add(key=key, value=str(content))
        value.tofile(self._external)
        self._initializers[name] = tensor


def _base_name(file: BinaryIO) -> str:
    return file.name.rsplit("/", 1)[-1]
