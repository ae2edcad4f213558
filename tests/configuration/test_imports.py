import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from sr_experiments.configuration.compose import compose
from sr_experiments import train
words = sys.argv[1:]
config = compose(words, hydra=True)
choices = {key: str(value) for key, value in config.hydra.runtime.choices.items()}
train.preflight(train.Job(compose(words), choices, words))
unused = {"timm", "kornia", "wandb", "skimage", "sklearn", "onnx", "onnxruntime"}
print(sorted(unused & set(sys.modules)))
"""


def test_a_run_imports_only_what_it_uses(tmp_path: Path) -> None:
    words = [f"paths.cache_dir={tmp_path}", f"paths.output_dir={tmp_path}"]
    result = subprocess.run(
        [sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
