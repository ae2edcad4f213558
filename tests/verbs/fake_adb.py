"""A program that answers as Android's adb does, and notes what it was asked.

It stands beside ``scenario.json``: ``devices`` (serial to state), ``has_tool``, ``output`` of
benchmark_model and its ``exit``. What it was called with goes to ``calls.txt``, a pushed file to
``pushed/``.
"""

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROPERTIES = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 7",
    "ro.soc.model": "GS201",
    "ro.board.platform": "gs201",
    "ro.build.version.release": "14",
    "ro.product.cpu.abi": "arm64-v8a",
}


def shell(command: str, scenario: dict[str, object]) -> int:
    if command.startswith("getprop"):
        for part in command.split("; "):
            print(PROPERTIES[part.split()[1]])
    elif command.startswith("test -f"):
        return 0 if scenario["has_tool"] else 1
    elif "benchmark_model --graph" in command:
        print(scenario["output"], file=sys.stderr)  # where the tool logs to
        return int(str(scenario["exit"]))
    return 0


def main() -> int:
    words = sys.argv[1:]
    with (HERE / "calls.txt").open("a") as file:
        file.write(json.dumps(words) + "\n")
    scenario = json.loads((HERE / "scenario.json").read_text())
    if words == ["devices"]:
        print("List of devices attached")
        for serial, state in scenario["devices"].items():
            print(f"{serial}\t{state}")
        print()
        return 0
    if words[2] == "push":
        (HERE / "pushed").mkdir(exist_ok=True)
        shutil.copy(words[3], HERE / "pushed" / Path(words[4]).name)
        print(f"{words[3]}: 1 file pushed, 0 skipped.")
        return 0
    return shell(words[3], scenario)


if __name__ == "__main__":
    sys.exit(main())
