"""TensorBoard's event files, read back by TensorBoard itself."""

from collections.abc import Callable

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.loggers import LoggedRun, TensorBoard, options

pytest.importorskip("tensorboard")
# TensorBoard's protobuf code and its reader use what newer Python and numpy deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_each_curve_has_its_own_axis_and_a_resumed_run_goes_on(
    run: LoggedRun, record: Callable[..., None]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record(TensorBoard().open(run), run, range(2))
    record(TensorBoard().open(run), run, range(2, 4))
    shown = EventAccumulator(str(run.folder / "tensorboard"))
    shown.Reload()

    def curve(name: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in shown.Scalars(name)]

    assert curve("val/psnr") == [(0, 26), (1, 27), (2, 28), (3, 29)]
    assert curve("train/loss") == [(100, 0.5), (200, 0.375), (300, 0.25), (400, 0.125)]
    assert curve("iteration") == [(0, 100), (1, 200), (2, 300), (3, 400)]
    assert curve("ranges/activations/head/high") == [(1, 1.75), (3, 1.75)]
    assert curve("test/photos/int8/psnr_y") == [(4, 30.25)]
    assert curve("tflite_kib") == [(4, 35.75)]
    assert curve("best/val/psnr") == [(4, 29)]
    counts = shown.Histograms("weights/head")[-1].histogram_value
    assert [counts.bucket, counts.bucket_limit] == [[1, 2], [0, 1]]
    (picture,) = shown.Images("strips/photos_coffee")
    assert (picture.width, picture.height) == (12, 6)
    (table,) = shown.Tensors("test_images/text_summary")
    assert (
        b"| photos | coffee | 28.500 | 30.500 | 30.250 | 0.250 |"
        in table.tensor_proto.string_val[0]
    )


def test_several_runs_can_share_a_folder(run: LoggedRun, record: Callable[..., None]) -> None:
    shared = run.folder.parents[1] / "board"
    record(TensorBoard(folder=str(shared), histograms=None).open(run), run, range(1))
    assert list((shared / "losses" / "loss=l1").glob("events.*"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "sr_experiments\[tensorboard\]"'):
        TensorBoard()
