"""A file says what its numbers mean, in the fields where programs look for it."""

from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema
from torch import Tensor

from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.models import SRModel
from sr_experiments.quantization import PostTraining, trace


class Reader:
    """A flatbuffers table, read by the numbers of its fields in ``metadata_schema.fbs``."""

    def __init__(self, content: bytes, at: int) -> None:
        self.table = flatbuffers.table.Table(bytearray(content), at)

    def _at(self, slot: int) -> int:
        return int(self.table.Pos + self.table.Offset(4 + 2 * slot))

    def child(self, slot: int) -> "Reader":
        return Reader(bytes(self.table.Bytes), self.table.Indirect(self._at(slot)))

    def item(self, slot: int) -> "Reader":
        start = self.table.Vector(self.table.Offset(4 + 2 * slot))
        assert self.table.VectorLen(self.table.Offset(4 + 2 * slot)) == 1
        return Reader(bytes(self.table.Bytes), self.table.Indirect(start))

    def text(self, slot: int) -> str:
        value: bytes = self.table.String(self._at(slot))
        return value.decode()

    def byte(self, slot: int) -> int:
        return int(self.table.Bytes[self._at(slot)])

    def number(self, slot: int) -> float:
        flags: Any = flatbuffers.number_types.Float32Flags
        start = self.table.Vector(self.table.Offset(4 + 2 * slot))
        return float(self.table.Get(flags, start))


def metadata(content: bytes) -> bytes:
    model = schema.Model.GetRootAs(content)
    (entry,) = [model.Metadata(index) for index in range(model.MetadataLength())]
    assert entry.Name() == b"TFLITE_METADATA"
    return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())


@pytest.mark.parametrize("slot", [2, 3])  # inputs and outputs of the subgraph
def test_either_end_is_an_rgb_picture_that_was_divided_by_255(xlsr: SRModel, slot: int) -> None:
    content = metadata(float_model(trace(xlsr)))
    assert content[4:8] == b"M001"
    root = Reader(content, int.from_bytes(content[:4], "little"))
    assert root.text(0) == "x3 super-resolution"
    assert root.text(7) == "1.0.0"
    tensor = root.item(3).item(slot)
    assert tensor.text(0) == {2: "low_res", 3: "prediction"}[slot]
    picture = tensor.child(3)
    assert picture.byte(0) == 2  # ImageProperties
    assert picture.child(1).byte(0) == 1  # RGB
    unit = tensor.item(4)
    assert unit.byte(0) == 1  # NormalizationOptions: mean, deviation
    assert [unit.child(1).number(0), unit.child(1).number(1)] == [0, 255]
    assert [tensor.child(5).number(0), tensor.child(5).number(1)] == [1, 0]  # high, low


def test_it_costs_less_than_a_kibibyte(xlsr: SRModel, calibration: Tensor) -> None:
    content = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    assert 200 < len(metadata(content)) < 600


def test_names_of_tensors_are_short(xlsr: SRModel, calibration: Tensor) -> None:
    content = int8_model(PostTraining().quantize(trace(xlsr), calibration))
    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    names = [graph.Tensors(index).Name() for index in range(graph.TensorsLength())]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 3
