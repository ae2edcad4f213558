"""Scores of FP16 weights, from a summary or from the weights and pictures at hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage.data import chelsea, coffee
from torch import nn

from sr_experiments.functional.pixels import to_float
from sr_experiments.functional.resize import downscale
from sr_experiments.metrics import score_image
from sr_experiments.models import SRResNet, save_model
from sr_experiments.reporting.tables import half_precision, swift_srgan_2
from sr_experiments.reporting.tables.half_precision import HalfScores, score_half
from sr_experiments.reporting.tables.trained import TrainedRun

SCORES = {"psnr_y": 29.0, "ssim_y": 0.82, "psnr_rgb": 27.0, "ssim_rgb": 0.8}
CONFIG = {
    "_target_": "sr_experiments.models.SRResNet",
    "scale": 4,
    "channels": 4,
    "num_blocks": 1,
}
FACTOR = 2.0**14
SMALLEST = 2.0**-24  # positive number that FP16 has


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose Set5 is five corners of two photos."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "test" / "Set5").mkdir(parents=True)
    for index in range(5):
        photo = (chelsea, coffee)[index % 2]()[40 * index :, 60 * index :][:64, :96]
        Image.fromarray(photo).save(folder / "test" / "Set5" / f"{index}.png")
    return folder


def network() -> SRResNet:
    """Its last kernels are so small, as what they see is large, that FP16 rounds a part away."""
    torch.manual_seed(3)
    made = SRResNet(4, channels=4, num_blocks=1).eval()
    before, last = made.tail[3], made.tail[6]
    assert isinstance(before, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        before.weight *= FACTOR
        before.bias *= FACTOR  # type: ignore[operator]
        last.weight.copy_((last.weight / FACTOR / SMALLEST).floor().add(0.49) * SMALLEST)
    return made


def finished(folder: Path, mode: str = "PostTraining", **tested: Any) -> TrainedRun:
    test = {"set5": {"fp32": SCORES, **tested}}
    config = {"quantization": {"_target_": f"sr_experiments.quantization.{mode}"}}
    return TrainedRun(folder, {"model": "srresnet", "scale": 4, "test": test}, config)


def scored(runs: list[TrainedRun], places: Path | None, cache: Path, **more: Any) -> HalfScores:
    data_dir = None if places is None else str(places)
    return score_half(runs, ["set5"], threads=1, data_dir=data_dir, cache_dir=str(cache), **more)


@pytest.mark.parametrize("mode", ["PostTraining", "QuantizationAware"])
def test_weights_and_pictures_at_hand_give_the_score_of_rounded_weights(
    mode: str, pictures: Path, tmp_path: Path
) -> None:
    own = network()
    file = tmp_path / "model.safetensors"
    if mode == "QuantizationAware":  # the network that went on to the INT8 grid is another
        moved = SRResNet(4, channels=4, num_blocks=1)
        moved.quantized, moved.ranges = True, {}
        save_model(moved, CONFIG, file)
        file = tmp_path / "stages" / "1-fp32.safetensors"
        file.parent.mkdir()
    save_model(own, CONFIG, file)
    before = contents(tmp_path)
    told: list[str] = []
    run = finished(tmp_path, mode)
    half = scored([run], pictures, tmp_path.parent / "cache", advance=told.append)
    assert contents(tmp_path) == before
    assert [line.split()[-1] for line in told] == ["0", "1", "2", "3", "4"]
    assert half.missing == []

    rounded = network()
    for tensor in rounded.parameters():
        tensor.data = tensor.data.half().float()
    found = half.of(run, "set5")["psnr_y"]
    assert found == pytest.approx(psnr_y(rounded, pictures), abs=2e-3)
    assert abs(found - psnr_y(own, pictures)) > 0.02


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def psnr_y(model: SRResNet, pictures: Path) -> float:
    """Through torch, without LiteRT."""
    values = []
    for file in sorted((pictures / "test" / "Set5").iterdir()):
        with Image.open(file) as image:
            high_res = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        high_res = high_res.view(64, 96, 3).permute(2, 0, 1).contiguous()
        with torch.inference_mode():
            made = model(to_float(downscale(high_res, 4))[None])[0]
        picture = (255 * made + 0.5).floor().clamp(0, 255).to(torch.uint8)
        values.append(score_image(picture, high_res, 4)["psnr_y"])
    return sum(values) / len(values)


def test_a_run_that_scored_fp16_itself_is_believed(tmp_path: Path) -> None:
    run = finished(tmp_path, fp16=SCORES | {"psnr_y": 28.5})
    half = scored([run], None, tmp_path / "cache")
    assert half.of(run, "set5")["psnr_y"] == 28.5
    assert half.missing == []
    table = swift_srgan_2.table([run], half, {})
    row = next(row for row in table.rows if row["whose"] == "ours: regression")
    assert (row["psnr"], row["psnr_fp16"], row["ssim_fp16"]) == (29.0, 28.5, 0.82)


@pytest.mark.parametrize("what", ["pictures", "weights", "time"])
def test_an_empty_cell_has_a_note_that_says_what_was_missing(
    what: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SR_DATA_DIR", raising=False)
    if what != "weights":
        save_model(network(), CONFIG, tmp_path / "model.safetensors")
    places = tmp_path / "nothing" if what == "pictures" else pictures
    if what == "time":

        def interrupted(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(half_precision, "predict_image", interrupted)
    run = finished(tmp_path)
    half = scored([run, run], places, tmp_path / "cache")
    assert half.of(run, "set5") == {}
    table = swift_srgan_2.table([run], half, {})
    assert all(row.get("psnr_fp16") is None for row in table.rows)
    said = {
        "pictures": "FP16 was not measured: set5 is not at hand.",
        "weights": f"FP16 was not measured: {tmp_path / 'model.safetensors'} is not there.",
        "time": "FP16 was interrupted: what is missing was not measured.",
    }
    assert [note for note in table.notes if "FP16" in note] == [said[what]]
