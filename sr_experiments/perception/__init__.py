"""How alike two pictures look to people: metrics that need a trained classifier.

Each takes (N, 3, H, W) in [0, 1] and the same, and gives the mean over the batch; less is better.
NIQE is not here: none of the libraries that this project is built on has it.
"""

from sr_experiments.perception.dists import DISTS
from sr_experiments.perception.lpips import LPIPS

__all__ = ["DISTS", "LPIPS"]
