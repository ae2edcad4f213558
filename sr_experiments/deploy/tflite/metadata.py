"""TFLite Metadata: what the numbers of a file mean, for programs that know only the file.

RGB in that order, pixels of 0 to 255 divided by 255, in and out. Written field by field after
``metadata_schema.fbs`` of TFLite Support, whose Python package is not made for Python after 3.11.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import flatbuffers

METADATA = "TFLITE_METADATA"  # the name under which programs look for it
IDENTIFIER = b"M001"
PARSER = "1.0.0"  # the oldest that knows every field used here
INPUT, OUTPUT = "low_res", "prediction"
IMAGE_PROPERTIES, RGB = 2, 1
NORMALIZATION_OPTIONS = 1
WHITE = 255.0  # pixel values are divided by it

Field = Callable[[flatbuffers.Builder], None]


def picture_metadata(scale: Fraction) -> bytes:
    """Metadata of a file with one RGB picture in and one out.

    Args:
        scale: Enlargement.
    """
    builder = flatbuffers.Builder(512)
    graph = _table(
        builder,
        [
            _offset(2, _vector(builder, [_picture(builder, INPUT)])),
            _offset(3, _vector(builder, [_picture(builder, OUTPUT)])),
        ],
    )
    name = builder.CreateString(f"x{scale} super-resolution")
    parser = builder.CreateString(PARSER)
    graphs = _vector(builder, [graph])
    root = _table(builder, [_offset(0, name), _offset(3, graphs), _offset(7, parser)])
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())


def _picture(builder: flatbuffers.Builder, name: str) -> int:
    """A tensor that holds an RGB picture in [0, 1]."""
    properties = _table(builder, [_byte(0, RGB)])
    content = _table(builder, [_byte(0, IMAGE_PROPERTIES), _offset(1, properties)])
    mean, deviation = _floats(builder, 0.0), _floats(builder, WHITE)
    options = _table(builder, [_offset(0, mean), _offset(1, deviation)])
    unit = _table(builder, [_byte(0, NORMALIZATION_OPTIONS), _offset(1, options)])
    units = _vector(builder, [unit])
    high, low = _floats(builder, 1.0), _floats(builder, 0.0)
    stats = _table(builder, [_offset(0, high), _offset(1, low)])
    text = builder.CreateString(name)
    fields = {0: text, 3: content, 4: units, 5: stats}
    return _table(builder, [_offset(slot, at) for slot, at in fields.items()])


def _byte(slot: int, value: int) -> Field:
    def add(builder: flatbuffers.Builder) -> None:
        builder.PrependUint8Slot(slot, value, 0)

    return add


def _offset(slot: int, at: int) -> Field:
    def add(builder: flatbuffers.Builder) -> None:
        builder.PrependUOffsetTRelativeSlot(slot, at, 0)

    return add


def _table(builder: flatbuffers.Builder, fields: list[Field]) -> int:
    builder.StartObject(8)  # at least as many fields as any of the tables has
    for field in fields:
        field(builder)
    return int(builder.EndObject())


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, value: float) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return int(builder.EndVector())
