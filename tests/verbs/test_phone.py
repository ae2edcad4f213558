"""Files are timed on a phone by the words that adb and LiteRT's tool understand.

No phone is here: ``fake_adb.py`` notes every command line and prints what benchmark_model prints
(the lines of real runs, shortened).
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.benchmark import main
from sr_experiments.errors import UserError

TOOL = "/data/local/tmp/benchmark_model"
PRINTED = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [4]
INFO: Graph: [/data/local/tmp/sr_experiments.tflite]
INFO: #threads used for CPU inference: [4]
INFO: Loaded model /data/local/tmp/sr_experiments.tflite
INFO: Initialized TensorFlow Lite runtime.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: The input model file size (MB): 0.036016
INFO: Initialized session in 11.515ms.
INFO: Running benchmark for at least 3 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=3 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112

INFO: Running benchmark for at least 20 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=20 first=52162 curr=49785 min=49088 max=60105 avg=51743.2 std=716 p5=49620 median=51000 p95=52628

INFO: Inference timings in us: Init: 11515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 51743.2
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=18.4961 overall=55.4961
"""  # noqa: E501
PROFILE = """\
INFO: Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t    5.061\t    5.061\t100.000%\t100.000%\t 10292.000\t        1\tAllocateTensors/0

Timings (microseconds): count=1 curr=5061
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                QUANTIZE\t    0.199\t    0.203\t  1.328%\t  1.328%\t     0.000\t        1\t[1]:0
\t Convolution (NHWC, QC8) IGEMM\t    0.398\t    0.407\t  2.658%\t  3.986%\t     0.000\t        3\tDelegate/Convolution (NHWC, QC8) IGEMM:0

============================== Top by Computation Time ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t Convolution (NHWC, QC8) IGEMM\t    0.398\t    0.407\t  2.658%\t  3.986%\t     0.000\t        3\tDelegate/Convolution (NHWC, QC8) IGEMM:0
Timings (microseconds): count=20 first=1234 curr=1 min=1 max=1 avg=1 std=0
"""  # noqa: E501
OLD = """\
Loaded model /data/local/tmp/sr_experiments.tflite
Initialized session in 0.855ms.
count=1 curr=49060

count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450

Inference timings in us: Init: 855, First inference: 49060, Warmup (avg): 49060, Inference (avg): 33209.4
Peak memory footprint (MB): init=0 overall=12.8672
Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.066\t   87.754\t   60.957\t  2.066%\t  2.066%\t     0.000\t        1\t[Conv2d_0/Relu6]:0
"""  # noqa: E501


class FakePhone:
    """The folder of the program, and what it noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = Path(__file__).with_name("fake_adb.py").read_text()
        (folder / "adb").write_text(f"#!{sys.executable}\n{source}")
        (folder / "adb").chmod(0o755)
        self.set()

    def set(self, **scenario: Any) -> None:
        default = {"devices": {"1A2B": "device"}, "has_tool": True, "output": PRINTED, "exit": 0}
        (self.folder / "scenario.json").write_text(json.dumps(default | scenario))

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls.txt").read_text().splitlines()]


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return FakePhone(folder)


def test_the_file_is_pushed_timed_and_removed(
    adb: FakePhone, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={run}", "runtime=int8", "device=adb", "psnr=30"]
    main([*words, f"output={tmp_path}/phone.json"])
    calls = adb.calls()
    assert calls[0] == ["devices"]
    assert all(call[:2] == ["-s", "1A2B"] for call in calls[1:])
    (push,) = (call for call in calls if call[2:3] == ["push"])
    assert push[4] == "/data/local/tmp/sr_experiments.tflite"
    pushed = adb.folder / "pushed" / "sr_experiments.tflite"
    assert pushed.read_bytes() == (run / "model_int8.tflite").read_bytes()
    shells = [call[3] for call in calls if call[2:3] == ["shell"]]
    assert shells[-2:] == [
        f"{TOOL} --graph=/data/local/tmp/sr_experiments.tflite --num_threads=4 --num_runs=20 "
        "--warmup_runs=3 --min_secs=0 --warmup_min_secs=0 --use_xnnpack=true "
        "--input_layer=input --input_layer_shape=1,360,640,3",
        "rm -f /data/local/tmp/sr_experiments.tflite",
    ]
    made = json.loads((tmp_path / "phone.json").read_text())
    (row,) = made["runtimes"]
    assert row["result"]["median"] == 51.0
    assert row["result"]["mean"] == pytest.approx(51.7432)
    assert row["result"]["deviation"] == 0.716
    assert (row["result"]["start"], row["result"]["first"]) == (11.515, 87.112)
    assert row["result"]["memory"] == 55.4961
    assert row["result"]["runs"] == 20
    assert row["scores"]["2022"] == pytest.approx(2 ** (2 * (30 - 24)) / 51.0 / 10)
    assert made["phone"]["chip"] == "GS201"
    printed = " ".join(capsys.readouterr().out.split())
    assert "Google Pixel 7 (GS201, Android 14)" in printed
    assert "median and standard deviation of 20 runs on 4 threads" in printed


def test_layers_come_from_the_profiler_of_the_tool(
    adb: FakePhone, run: Path, tmp_path: Path
) -> None:
    adb.set(output=PRINTED + PROFILE)
    words = [f"run={run}", "runtime=int8", "device=adb:1A2B", "layers=true", "delegate=gpu"]
    main([*words, "threads=2", "height=100", "width=50", f"output={tmp_path}/phone.json"])
    (command,) = (call[3] for call in adb.calls() if TOOL + " --" in call[-1])
    assert command.endswith(
        "--use_gpu=true --input_layer=input --input_layer_shape=1,100,50,3 "
        "--enable_op_profiling=true"
    )
    assert "--num_threads=2" in command
    (row,) = json.loads((tmp_path / "phone.json").read_text())["runtimes"]
    assert row["result"]["median"] == 51.0  # of the runs, not of the profile
    layers = [
        (layer["operator"], layer["milliseconds"]) for layer in row["result"]["layers"]["rows"]
    ]
    # Three calls of 0.407 ms on average.
    assert layers == [("QUANTIZE", 0.203), ("Convolution (NHWC, QC8) IGEMM", pytest.approx(1.221))]


def test_an_old_tool_prints_a_mean_only(
    adb: FakePhone, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adb.set(output=OLD)
    main([f"run={run}", "runtime=int8", "device=adb", f"output={tmp_path}/phone.json"])
    (row,) = json.loads((tmp_path / "phone.json").read_text())["runtimes"]
    assert row["result"]["median"] is None
    assert row["result"]["mean"] == pytest.approx(33.2094)
    assert row["result"]["memory"] == 12.8672
    assert row["result"]["layers"]["rows"][0]["milliseconds"] == 60.957
    assert "mean and standard deviation of 50 runs" in " ".join(capsys.readouterr().out.split())


def test_all_tflite_files_of_a_run_are_timed_and_the_tool_is_pushed_once(
    adb: FakePhone, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "android_aarch64_benchmark_model").write_text("program")
    words = [f"run={run}", "device=adb", f"output={tmp_path}/phone.json"]
    main([*words, f"benchmark_model={tmp_path}/android_aarch64_benchmark_model"])
    targets = [call[4] for call in adb.calls() if call[2:3] == ["push"]]
    graph = "/data/local/tmp/sr_experiments.tflite"
    assert targets == [TOOL, graph, graph]
    assert ["-s", "1A2B", "shell", f"chmod 755 {TOOL}"] in adb.calls()
    rows = json.loads((tmp_path / "phone.json").read_text())["runtimes"]
    assert [row["runtime"] for row in rows] == ["litert int8 xnnpack", "litert fp32 xnnpack"]


@pytest.mark.parametrize(
    ("words", "scenario", "message"),
    [
        ([], {"devices": {}}, "no phone is connected; plug one in by USB, allow USB debugging"),
        ([], {"devices": {"a": "unauthorized"}}, "phone a is unauthorized: allow USB debugging"),
        ([], {"devices": {"a": "offline"}}, "phone a is offline: plug it in again"),
        ([], {"devices": {"a": "device", "b": "device"}}, "device=adb:<one of a, b>"),
        (["device=adb:c"], {}, "adb:c: no such phone is connected; here: 1A2B"),
        (
            [],
            {"has_tool": False},
            "get android_aarch64_benchmark_model, for arm64-v8a, from .*http",
        ),
        (["benchmark_model=nowhere"], {}, "benchmark_model=nowhere: there is no such file"),
        (["delegate=hexagon"], {}, "use xnnpack, none, gpu, nnapi"),
        (
            [],
            {"output": "INFO: STARTING!\nERROR: Failed to load model", "exit": 1},
            "failed on Google Pixel 7 .*\n  ERROR: Failed to load model",
        ),
        ([], {"output": "Aborted", "exit": 0}, "failed on Google Pixel 7 .*\n  Aborted"),
        (["runtime=torch"], {}, r"runs \.tflite files, and .* is none: use runtime=int8"),
    ],
)
def test_what_is_missing_is_said(
    words: list[str], scenario: dict[str, Any], message: str, adb: FakePhone, run: Path
) -> None:
    adb.set(**scenario)
    with pytest.raises(UserError, match=message):
        main([f"run={run}", "device=adb", *words])


def test_without_adb_the_message_says_where_to_get_it(adb: FakePhone, run: Path) -> None:
    (adb.folder / "adb").unlink()
    with pytest.raises(UserError, match=r"the program adb is not here; .*apt-get install adb"):
        main([f"run={run}", "device=adb"])


def test_options_of_a_phone_are_refused_without_one(run: Path) -> None:
    with pytest.raises(UserError, match="delegate= is of a phone: add device=adb"):
        main([f"run={run}", "delegate=gpu"])
    assert shutil.which("true")  # the fake PATH of other tests is gone
