"""An enlarged clip has the frames, times, sound, colours and orientation of the clip."""

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import coffee

from sr_experiments.configuration.shipped import shipped
from sr_experiments.deploy.litert import LiteRTRuntime
from sr_experiments.deploy.runtimes import to_uint8
from sr_experiments.errors import UserError
from sr_experiments.upscale import main

av = pytest.importorskip("av", reason="the extra video is not installed")

Flags = av.video.reformatter.Interpolation
ACCURATE = Flags.BICUBIC | Flags.ACCURATE_RND | Flags.FULL_CHR_H_INT
Pixels = NDArray[np.uint8]
TIMES = [0, 40, 80, 100, 200, 240, 400, 440]  # milliseconds, of a variable frame rate


def pan(height: int = 48, width: int = 64) -> list[Pixels]:
    """Crops of a photo, as a camera that moves sees it."""
    return [coffee()[100 + 4 * i : 100 + 4 * i + height, 180 : 180 + width] for i in range(8)]


def encode(
    path: Path,
    frames: Sequence[Pixels],
    *,
    times: Sequence[int] = TIMES,
    codec: str = "libx264",
    pixels: str = "yuv444p",
    sound: bool = True,
    full: bool = False,
    matrix: int = 5,
) -> None:
    """A clip, its pictures nearly without loss, with a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = pixels
        context: Any = video.codec_context
        context.time_base = Fraction(1, 1000)
        context.color_range, context.colorspace = 2 if full else 1, matrix
        context.options = {"crf": "1"} if codec == "libx264" else {}
        tone = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for picture, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixels,
                src_color_range=2,
                dst_colorspace=matrix,
                dst_color_range=2 if full else 1,
                interpolation=ACCURATE,
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone is not None:
            for start in range(0, 24 * 1024, 1024):
                wave = np.sin(np.arange(start, start + 1024) / 17).astype(np.float32)[None]
                audio = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                audio.sample_rate, audio.pts, audio.time_base = 48000, start, Fraction(1, 48000)
                container.mux(tone.encode(audio))
            container.mux(tone.encode())


def decode(path: Path) -> tuple[list[Pixels], list[Fraction]]:
    """Pictures as a player that minds the tags shows them, and their times in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        pictures = [
            frame.reformat(
                format="rgb24",
                src_colorspace=int(frame.colorspace),
                src_color_range=int(frame.color_range),
                dst_color_range=2,
                interpolation=ACCURATE,
            ).to_ndarray()
            for frame in frames
        ]
        return pictures, [frame.pts * frame.time_base for frame in frames]


def sound_of(path: Path) -> list[tuple[bytes, Fraction]]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.dts is not None]
        return [(bytes(packet), packet.pts * packet.time_base) for packet in packets]


def alone(pictures: Sequence[Pixels]) -> list[Pixels]:
    """Each picture enlarged by LiteRT by itself."""
    runtime = LiteRTRuntime(shipped("xlsr").int8, threads=1)
    return [to_uint8(runtime.predict(picture[None])[0]) for picture in pictures]


def psnr(here: Sequence[Pixels], there: Sequence[Pixels]) -> float:
    """Of the worst frame, in dB."""
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(here, there, strict=True)]
    return float(10 * np.log10(255**2 / max(errors)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_times_and_sound_are_the_clips(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, made = tmp_path / "clip.mp4", tmp_path / f"big{suffix}"
    encode(clip, pan())
    main([f"input={clip}", f"output={made}", "threads=1", "crf=8"])
    said = capsys.readouterr().out
    assert "by xlsr_x3 of this package, for photos" in said
    assert "8 frames x3 to 192x144 by litert int8" in said
    assert "frames a second" in said
    before, times = decode(clip)
    after, times_after = decode(made)
    assert times == [Fraction(time, 1000) for time in TIMES]
    assert psnr(after, alone(before)) > 40
    (sound, starts), (sound_after, starts_after) = (
        tuple(zip(*sound_of(path), strict=True)) for path in (clip, made)
    )
    assert len(sound) >= 24
    assert sound_after == sound
    # Matroska has no times below zero: sound that starts before zero moves all of it.
    shift = max(0, -starts[0]) if suffix == ".mkv" else 0
    for here, there in ((times_after, times), (starts_after, starts)):
        assert [float(t) for t in here] == pytest.approx(
            [float(t + shift) for t in there], abs=1e-3
        )


@pytest.mark.parametrize(("full", "matrix"), [(False, 1), (True, 5), (True, 1)])
def test_colours_survive_whatever_range_and_matrix(full: bool, matrix: int, tmp_path: Path) -> None:
    clip, made = tmp_path / "clip.mp4", tmp_path / "clip_x3.mp4"
    encode(clip, pan()[:2], times=TIMES[:2], pixels="yuv420p", full=full, matrix=matrix)
    main([f"input={clip}", "threads=1", "crf=4"])
    with av.open(str(made)) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (matrix, 2 if full else 1)
        assert frame.format.name in ("yuv420p", "yuvj420p")
    # A wrong matrix or range shifts means by 5 to 20 levels, swscale those of full range by one.
    for expected, after in zip(alone(decode(clip)[0]), decode(made)[0], strict=True):
        assert np.abs(after.mean((0, 1)) - expected.mean((0, 1))).max() < 1.5


def test_a_turned_clip_is_written_upright(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(clip, pan(), sound=False)
    before, _ = decode(clip)
    content = clip.read_bytes()
    place = content.index(b"tkhd") + 44  # the matrix of ISO 14496-12, 8.3.2
    turned = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30]  # by a quarter, clockwise
    matrix = b"".join(value.to_bytes(4, "big", signed=True) for value in turned)
    clip.write_bytes(content[:place] + matrix + content[place + 36 :])
    main([f"input={clip}", f"output={tmp_path}/big.mp4", "threads=1", "crf=8"])
    after, _ = decode(tmp_path / "big.mp4")
    assert psnr(after, alone([np.rot90(picture, -1).copy() for picture in before])) > 40


def test_odd_sizes_keep_every_pixel(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    encode(clip, pan(47, 65), codec="ffv1")
    main([f"input={clip}", f"output={tmp_path}/big.mkv", "threads=1", "crf=8"])
    before, _ = decode(clip)
    after, _ = decode(tmp_path / "big.mkv")
    assert after[0].shape == (141, 195, 3)
    assert psnr(after, alone(before)) > 40


def test_a_pipe_is_enlarged_until_it_ends(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    encode(clip, pan())
    words = ["input=-", f"output={tmp_path}/big.mkv", "threads=1", "pretrained=xlsr"]
    with clip.open("rb") as pipe:
        command = [sys.executable, "-m", "sr_experiments.upscale", *words]
        subprocess.run(command, stdin=pipe, check=True)
    assert decode(tmp_path / "big.mkv")[1] == decode(clip)[1]
    assert [sound for sound, _ in sound_of(tmp_path / "big.mkv")] == [s for s, _ in sound_of(clip)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input=nowhere.mp4"], r"input=.*nowhere\.mp4: there is no such file"),
        (["input={clip}", "output=big.avi"], "a video is written as mp4, m4v, mov, mkv"),
        (["input={clip}", "output={clip}", "overwrite=true"], "is the input itself"),
        (["input={clip}", "output=big.mp4", "crf=60"], "crf=60 is not between 0 and 51"),
        (["input={clip}", "output=big.mp4"], "output=big.mp4: Invalid data"),
        (["input={there}"], "is there already; add overwrite=true"),
    ],
)
def test_what_cannot_be_enlarged_is_refused_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {name: tmp_path / f"{name}.mp4" for name in ("clip", "there")}
    for path in (*places.values(), tmp_path / "there_x3.mp4"):
        path.write_bytes(b"no video")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        main(["threads=1", *(word.format(**places) for word in words)])
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r'pip install "sr_experiments\[video\]"'):
        main([f"input={tmp_path}/clip.mp4", "threads=1"])


@pytest.mark.slow
def test_a_longer_clip_takes_no_more_memory(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from sr_experiments.upscale import main; main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for rounds in (10, 60):
        clip = tmp_path / f"{rounds}.mp4"
        encode(clip, pan() * rounds, times=range(0, 320 * rounds, 40), sound=False)
        command = [sys.executable, "-c", code, f"input={clip}", "threads=1"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert peaks[1] < peaks[0] + 20  # MiB; the 400 further frames are 32 MiB as RGB
