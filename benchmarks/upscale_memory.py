"""Peak memory and time of enlarging a photo of 24 megapixels, each in a process of its own.

    python benchmarks/upscale_memory.py run=<folder> [runtime=int8] [key=value ...]

The photo is a real one, repeated to 6000x4000. Words go to the upscale command.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import coffee

from sr_experiments.reporting.environment import cpu

REPEAT = 10  # of 600x400
# The child asks for its own peak: the parent's RUSAGE_CHILDREN would know only the largest.
CHILD = """
import resource, sys
from sr_experiments.configuration.entry import run_verb
from sr_experiments.upscale import main
run_verb(lambda: main(sys.argv[1:]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "torch" in sys.modules)
"""


def main() -> None:
    print(f"{cpu()['model']}, {cpu()['cores']} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = Image.fromarray(np.tile(coffee(), (REPEAT, REPEAT, 1)))
        photo.save(folder / "photo.jpg", quality=95)
        photo.putalpha(Image.linear_gradient("L").resize(photo.size))
        photo.save(folder / "transparent.png", compress_level=1)
        for source, suffix in (
            ("photo.jpg", "png"),
            ("photo.jpg", "jpg"),
            ("transparent.png", "png"),
        ):
            words = [
                f"input={folder / source}",
                f"output={folder}/large.{suffix}",
                "overwrite=true",
            ]
            start = time.perf_counter()
            result = subprocess.run(
                [sys.executable, "-c", CHILD, *sys.argv[1:], *words],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            seconds = time.perf_counter() - start
            peak, torch = result.stdout.splitlines()[-1].split()
            print(
                f"{source}, {photo.width}x{photo.height}, to .{suffix}: peak {peak} MiB resident, "
                f"{seconds:.0f} s, torch imported: {torch}"
            )


if __name__ == "__main__":
    main()
