"""Videos: decoded, enlarged and encoded frame by frame, so that memory does not grow with length.

Sound is copied packet by packet and times are the input's own, also of a variable frame rate.
Colour goes through RGB and back by the matrix and range that the stream names. Where it names none,
that of its height is meant, which the enlarged video, taller, has to name: players guess by height.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.tiling import upscale_tiled
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer, OutputContainer

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
SUFFIXES = {*CONTAINERS, ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp"}
PIPE = "-"
DEVICES = "/dev/video"
# ITU-R numbers of the matrices (H.273, table 4) and of the ranges in FFmpeg.
BT709, BT601, UNNAMED = 1, 6, 2
NARROW, FULL = 1, 2
HIGH_DEFINITION = 720  # lines from which players take an unnamed matrix for BT.709
# The matrices by the names that the conversion has for them.
MATRICES = {
    1: "ITU709", 4: "FCC", 5: "ITU624", 6: "SMPTE170M", 7: "SMPTE240M", 9: "BT2020", 10: "BT2020",
}  # fmt: skip
CRF = 18  # of x264: hardly to be told from the frames themselves


@dataclass
class Enlarged:
    """What became of a video.

    Attributes:
        frames: How many were enlarged.
        seconds: That took, with decoding and encoding.
        size: Width and height afterwards.
    """

    frames: int = 0
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0


def is_video(source: str) -> bool:
    """Whether an input is a video by its name: a file, a camera, or ``-``, the standard input."""
    live = source == PIPE or source.startswith(DEVICES)
    return live or (Path(source).suffix.lower() in SUFFIXES and not Path(source).is_dir())


def check_video(source: str, output: Path, *, overwrite: bool) -> None:
    """Refuse what cannot be read or written before anything is computed.

    Raises:
        UserError: Naming the file, or the package that is missing.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError('videos need: pip install "sr_experiments[video]"') from error
    if source != PIPE and not Path(source).exists():
        raise UserError(f"input={source}: there is no such file")
    if output.suffix.lower() not in CONTAINERS:
        raise UserError(
            f"output={output}: a video is written as {', '.join(s[1:] for s in CONTAINERS)}"
        )
    if source != PIPE and output.resolve() == Path(source).resolve():
        raise UserError(f"output={output} is the input itself; name another")
    if output.exists() and not overwrite:
        raise UserError(f"{output} is there already; add overwrite=true to replace it")


def enlarge_video(
    runtime: Runtime,
    source: str,
    output: Path,
    *,
    tile: int | None = None,
    crf: int = CRF,
    advance: Callable[[Enlarged, int], None] = lambda done, frames: None,
) -> Enlarged:
    """Enlarge a video; a camera or a pipe until it ends or the user interrupts.

    Args:
        runtime: Any network.
        source: File, ``/dev/video0`` or ``-``.
        output: File to write, H.264 in what its suffix says.
        tile: See `upscale_tiled`.
        crf: Of x264, 0 (without loss) to 51.
        advance: Called after each frame with what is done and the frames expected, 0 if unknown.

    Raises:
        UserError: It cannot be read or written.
    """
    import av

    temporary = output.with_name(f".{output.name}.part")
    done = Enlarged()
    began = time.perf_counter()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        form = CONTAINERS[output.suffix.lower()]
        with _opened(source) as read, av.open(str(temporary), "w", format=form) as written:
            writer = _Writer(read, written, crf)
            with _until_interrupted(live=source == PIPE or source.startswith(DEVICES)):
                for frame in writer.frames():
                    writer.write(frame, _enlarged(runtime, upright(frame), tile))
                    done.frames += 1
                    done.seconds = time.perf_counter() - began
                    advance(done, read.streams.video[0].frames)
            done.size = writer.finish()
        if not done.frames:
            raise UserError(f"input={source} has no frame that can be decoded")
        temporary.replace(output)
    except (av.error.FFmpegError, OSError) as error:
        # FFmpeg's own numbers, such as 1094995529, say nothing to anybody.
        said = error.strerror if isinstance(error, av.error.FFmpegError) else error
        raise UserError(f"input={source} to output={output}: {said}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return done


@contextmanager
def _opened(source: str) -> Iterator[InputContainer]:
    import av

    if source == PIPE:
        container = av.open(sys.stdin.buffer)
    elif source.startswith(DEVICES):
        container = av.open(source, format="v4l2")
    else:
        container = av.open(source)
    with container:
        if not container.streams.video:
            raise UserError(f"input={source} has no pictures in it")
        yield container


@contextmanager
def _until_interrupted(*, live: bool) -> Iterator[None]:
    """What has no end of its own ends, and is kept, when the user says so."""
    try:
        yield
    except KeyboardInterrupt:
        if not live:
            raise


def _careful() -> Any:
    """How swscale is to compute: its default darkens 4:2:0 by a level on the way to RGB."""
    from av.video.reformatter import Interpolation

    return Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def matrix_of(frame: VideoFrame) -> tuple[int, int]:
    """Numbers of a frame's colour matrix and range, guessed as players do where it names none."""
    matrix = int(frame.colorspace)
    if matrix not in MATRICES:
        matrix = BT709 if frame.height >= HIGH_DEFINITION else BT601
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    return matrix, FULL if full else NARROW


def upright(frame: VideoFrame) -> NDArray[np.uint8]:
    """Pixels of a frame, (H, W, 3), turned as its display matrix says."""
    matrix, span = matrix_of(frame)
    if frame.format.is_rgb:
        pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    else:
        pixels = frame.reformat(
            format="rgb24",
            src_colorspace=MATRICES[matrix],
            src_color_range=span,
            dst_color_range=FULL,
            interpolation=_careful(),
        ).to_ndarray()
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _enlarged(runtime: Runtime, pixels: NDArray[np.uint8], tile: int | None) -> NDArray[np.uint8]:
    height, width, _ = pixels.shape
    picture = np.empty((height * runtime.scale, width * runtime.scale, 3), np.uint8)
    for y, x, piece in upscale_tiled(runtime, pixels, tile):
        picture[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    return picture


class _Writer:
    """The enlarged video as it grows, beside copies of the input's sound.

    Args:
        read: The input.
        written: The output, still empty.
        crf: Of x264.
    """

    def __init__(self, read: InputContainer, written: OutputContainer, crf: int) -> None:
        self.read, self.written, self.crf = read, written, crf
        self.source = read.streams.video[0]
        self.source.thread_type = "AUTO"
        self.rate = self.source.average_rate or self.source.guessed_rate or Fraction(25)
        self.time_base = self.source.time_base or 1 / self.rate
        self.video = written.add_stream("libx264", rate=self.rate)
        self.sound = {
            stream.index: written.add_stream_from_template(stream) for stream in read.streams.audio
        }
        self.colour = (BT601, NARROW)
        self.ready = False
        self.last = -1

    def frames(self) -> Iterator[VideoFrame]:
        """Frames in their order, sound copied in between."""
        streams = [self.source, *self.read.streams.audio]
        waiting = []  # sound that comes before the first frame: the header needs the video's size
        for packet in self.read.demux(streams):
            if packet.stream.index in self.sound:
                if packet.dts is None:  # marks the end
                    continue
                packet.stream = self.sound[packet.stream.index]
                if self.ready:
                    self.written.mux(packet)
                else:
                    waiting.append(packet)
                continue
            for frame in packet.decode():
                yield frame
                while waiting:
                    self.written.mux(waiting.pop(0))
        while waiting and self.ready:
            self.written.mux(waiting.pop(0))

    def write(self, frame: VideoFrame, pixels: NDArray[np.uint8]) -> None:
        """Encode the enlarged picture of a frame, at that frame's time."""
        from av import VideoFrame

        if not self.ready:
            self._begin(frame, pixels)
        made = VideoFrame.from_ndarray(pixels, format="rgb24")
        matrix, span = self.colour
        made = made.reformat(
            format=self.video.pix_fmt,
            width=self.video.width,
            height=self.video.height,
            src_color_range=FULL,
            dst_colorspace=MATRICES[matrix],
            dst_color_range=span,
            interpolation=_careful(),
        )
        step = max(1, round(1 / self.rate / self.time_base))
        time_of = frame.pts if frame.pts is not None else self.last + step
        self.last = made.pts = max(time_of, self.last + 1)  # a broken clock never goes back
        made.time_base = self.time_base
        self.written.mux(self.video.encode(made))

    def _begin(self, frame: VideoFrame, pixels: NDArray[np.uint8]) -> None:
        height, width, _ = pixels.shape
        matrix, span = self.colour = matrix_of(frame)
        context: Any = self.video.codec_context
        context.width, context.height = width, height
        context.pix_fmt = encoded_format(frame.format.name, width, height)
        context.time_base = self.time_base
        context.options = {"crf": str(self.crf)}
        context.colorspace, context.color_range = matrix, span
        for key in ("color_primaries", "color_trc"):
            named = int(getattr(self.source.codec_context, key))
            standard = BT709 if matrix == BT709 else BT601
            setattr(context, key, standard if named in (0, UNNAMED) else named)
        aspect = self.source.sample_aspect_ratio
        if aspect:
            sideways = round(frame.rotation / 90) % 2
            context.sample_aspect_ratio = 1 / aspect if sideways else aspect
        self.ready = True

    def finish(self) -> tuple[int, int]:
        """Write what the encoder still holds; width and height of the video."""
        if self.ready:
            self.written.mux(self.video.encode())
        return self.video.width, self.video.height


def encoded_format(source: str, width: int, height: int) -> str:
    """Pixel format for x264 with 8 bits: the colour resolution of the source, or full where odd.

    Example:
        >>> encoded_format("yuv420p10le", 640, 360), encoded_format("yuv420p", 639, 360)
        ('yuv420p', 'yuv444p')
    """
    if "444" in source or width % 2:
        return "yuv444p"
    if "422" in source:
        return "yuv422p"
    return "yuv444p" if height % 2 else "yuv420p"
