"""A+ (Timofte et al., ACCV 2014): adjusted anchored neighbourhood regression.

Bicubic enlarges the photo; what luma lacks is added patch by patch. A patch is described by its
gradients, the most similar anchor of a learned dictionary is looked up, and the matrix that ridge
regression found on the training patches around that anchor turns the description into detail.
Overlapping patches are averaged. Training is a fit: no gradient is followed.

As the paper and its code have it: luma in 16..235 over 255; first and second differences at a
distance of ``scale`` along both axes; patches of 3x3 low-res pixels, one at every pixel; PCA
without centring; training patches from 12 copies of each photo, each 0.98 times as large as the
one before, none nearer to the border than a pixel; features of length 1 for the neighbourhoods,
their targets divided by that length unless it is below 0.1.

Deviations:
- The dictionary is scikit-learn's ``MiniBatchDictionaryLearning`` on features of length 1 (the
  paper: K-SVD with 3 atoms per patch, which scikit-learn lacks). ``SPARSITY`` gives about 4 atoms
  per patch. Anchors hardly decide the result: random patches in their place cost 0.03 dB on Set5.
- PCA keeps a fixed number of features, so that a file's shapes follow from its options. 30 is
  what the paper's rule, 99.9 % of the energy, gives on T91 at x3.
- Training patches beyond ``patches`` are left out at random (the paper: the last ones).
- The photo is mirrored at its border, so that every pixel lies in 9 patches (the paper leaves a
  border out).
- Cb and Cr are bicubic's: the detail is added to red, green and blue alike.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.anchors import apply_nearest, nearest_samples, ridge
from sr_experiments.functional.bicubic import bicubic_upscale
from sr_experiments.functional.colour import LUMA, rgb_to_y
from sr_experiments.functional.padding import symmetric_pad
from sr_experiments.functional.resize import downscale, imresize
from sr_experiments.models.fitted import FittedModel

WINDOW = 3  # low-res pixels, height and width of a patch
FILTERS = 4
COPIES = 12  # of each training photo
SHRINK = 0.98  # of each copy to the one before
MARGIN = 2  # low-res pixels at a photo's border that no training patch is centred on
FAINT = 0.1  # length of the features below which a patch is taken to be flat
SPARSITY = 0.5  # weight of the L1 norm in the dictionary's objective
DICTIONARY_BATCH = 256


class APlus(FittedModel):
    """Adjusted anchored neighbourhood regression.

    Args:
        scale: Enlargement.
        atoms: Anchors, and so regression matrices.
        features: Values that PCA keeps of the ``4 (3 scale)^2`` gradients of a patch.
        neighbours: Training patches that each matrix is fitted on.
        ridge: Weight of the matrix's squared norm in its fit.
        patches: Training patches at most.
        dictionary_patches: Of them, those that the dictionary is learned on.
    """

    deployable: ClassVar[bool] = False
    reason: ClassVar[str] = (
        "its matrices are solved for, no gradient trains them, and no operator of a TFLite file "
        "chooses a matrix for each patch"
    )

    def __init__(
        self,
        scale: int = 3,
        atoms: int = 1024,
        features: int = 30,
        neighbours: int = 2048,
        ridge: float = 0.1,
        patches: int = 5_000_000,
        dictionary_patches: int = 20_000,
    ) -> None:
        super().__init__(scale)
        window = (WINDOW * scale) ** 2
        for name, value, most in (
            ("atoms", atoms, dictionary_patches),
            ("features", features, FILTERS * window),
            ("neighbours", neighbours, patches),
            ("dictionary_patches", dictionary_patches, patches),
        ):
            if not 1 <= value <= most:
                raise UserError(f"model.{name}={value} is not from 1 to {most}")
        if ridge <= 0:
            raise UserError(f"model.ridge={ridge} is not above 0")
        self.neighbours, self.ridge = neighbours, ridge
        self.patches, self.dictionary_patches = patches, dictionary_patches
        self.projection = _values(features, FILTERS, WINDOW * scale, WINDOW * scale)
        self.anchors = _values(atoms, features)
        self.matrices = _values(atoms, window, features)
        self.register_buffer("filters", _gradient_filters(scale), persistent=False)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) to (N, 3, scale * H, scale * W); neither rounded nor clipped."""
        height, width = low_res.shape[-2:]
        luma = rgb_to_y(low_res * 255) / 255
        enlarged = bicubic_upscale(symmetric_pad(luma, WINDOW - 1), self.scale)
        described = self._describe(enlarged)
        rows = described.permute(0, 2, 3, 1).flatten(0, 2)
        detail = apply_nearest(rows, self.anchors, self.matrices)
        columns = detail.view(len(low_res), height * width, -1).mT
        size = self.scale * (height + WINDOW - 1), self.scale * (width + WINDOW - 1)
        added = F.fold(columns, size, WINDOW * self.scale, stride=self.scale) / WINDOW**2
        inside = added[..., self.scale : -self.scale, self.scale : -self.scale]
        return bicubic_upscale(low_res, self.scale) + inside / sum(LUMA)

    def _gradients(self, enlarged: Tensor) -> Tensor:
        """Differences of luma, (N, 1, H, W) to (N, 4, H - 2 * scale, W - 2 * scale)."""
        return F.conv2d(enlarged, self.get_buffer("filters"))

    def _describe(self, enlarged: Tensor) -> Tensor:
        """Features of every patch, (N, features, H / scale - 4, W / scale - 4)."""
        return F.conv2d(self._gradients(enlarged), self.projection, stride=self.scale)

    @torch.no_grad()
    def fit(
        self,
        images: Sequence[Tensor],
        *,
        seed: int = 1,
        share: float = 1.0,
        say: Callable[[str], None] = print,
    ) -> None:
        """Learn projection, anchors and matrices; see `FittedModel.fit`.

        ``share`` multiplies ``patches`` and ``dictionary_patches``.
        """
        random = np.random.default_rng(seed)
        energy = self._fit_projection(images)
        say(f"{len(self.projection)} features keep {energy:.2%} of the gradients' energy")
        samples, targets = self._collect(images, random, round(self.patches * share))
        say(f"{len(samples):,} training patches from {len(images)} photos")
        lengths = samples.norm(dim=1)
        clear = torch.nonzero(lengths >= FAINT).flatten()
        if len(clear) < len(self.anchors) or len(samples) < self.neighbours:
            raise UserError(
                f"there are {len(samples)} training patches, {len(clear)} of them not flat; use "
                f"more or larger photos, or lower model.atoms={len(self.anchors)} and "
                f"model.neighbours={self.neighbours}"
            )
        samples /= lengths.clamp(min=torch.finfo(samples.dtype).tiny)[:, None]
        wanted = max(len(self.anchors), round(self.dictionary_patches * share))
        chosen = random.choice(clear, min(wanted, len(clear)), replace=False)
        self.anchors.copy_(learn_anchors(samples[chosen], len(self.anchors), seed))
        say(f"{len(self.anchors)} anchors learned on {len(chosen):,} patches")
        lengths = torch.where(lengths < FAINT, 1, lengths)
        for first, near in nearest_samples(samples, self.anchors, self.neighbours):
            details = targets[near].float() / lengths[near].unsqueeze(-1)
            fitted = ridge(samples[near], details, self.ridge)
            self.matrices[first : first + len(fitted)] = fitted
        say(f"{len(self.matrices)} matrices fitted, each on {self.neighbours} patches")

    def _fit_projection(self, images: Sequence[Tensor]) -> float:
        """PCA of the gradients, on every second patch along each axis; the energy it keeps."""
        inputs = self.projection[0].numel()
        moments = torch.zeros(inputs, inputs, dtype=torch.float64)
        for image in images:
            gradients = self._gradients(_training_pair(image, self.scale)[0])
            rows = F.unfold(gradients, WINDOW * self.scale, stride=2 * self.scale)[0].mT
            moments += (rows.mT @ rows).double()
        energies, directions = torch.linalg.eigh(moments)
        self.projection.copy_(
            directions.mT.flip(0)[: len(self.projection)].view_as(self.projection)
        )
        return float(energies[-len(self.projection) :].sum() / energies.sum())

    def _collect(
        self, images: Sequence[Tensor], random: np.random.Generator, most: int
    ) -> tuple[Tensor, Tensor]:
        """Features (n, features) and half-precision details (n, window) of training patches.

        The largest copies of all photos come first, no more copies than give ``most`` patches.
        """
        sizes = [image.shape[-2:] for image in images]
        counts = [
            [_patches(_copy_size(size, copy, self.scale)) for size in sizes]
            for copy in range(COPIES)
        ]
        totals = np.cumsum([sum(row) for row in counts])
        copies = min(COPIES, 1 + int(np.searchsorted(totals, most)))
        total = int(totals[copies - 1])
        kept = np.arange(total)
        if total > most:
            kept = np.sort(random.choice(total, most, replace=False))
        samples = torch.empty(len(kept), len(self.projection))
        targets = torch.empty(len(kept), self.matrices.shape[1], dtype=torch.float16)
        done = start = 0
        for number, image in enumerate(images):
            for copy in range(copies):
                end = start + counts[copy][number]
                first, last = np.searchsorted(kept, (start, end))
                here = torch.from_numpy(kept[first:last] - start)
                start = end
                if not len(here):
                    continue
                enlarged, detail = _training_pair(image, self.scale, copy)
                rows = self._describe(enlarged)[0].flatten(1).mT
                inner = detail[..., self.scale : -self.scale, self.scale : -self.scale]
                windows = F.unfold(inner, WINDOW * self.scale, stride=self.scale)[0].mT
                samples[done : done + len(here)] = rows[here]
                targets[done : done + len(here)] = windows[here].half()
                done += len(here)
        return samples, targets


def _values(*shape: int) -> nn.Parameter:
    """Learned values that no gradient reaches."""
    return nn.Parameter(torch.zeros(shape), requires_grad=False)


def _gradient_filters(scale: int) -> Tensor:
    """First and second difference along both axes, (4, 1, 2 * scale + 1, 2 * scale + 1).

    The first spans ``scale`` pixels, and lies half a pixel off the centre where that is odd, as
    MATLAB's ``conv2(..., 'same')`` places it.
    """
    first, second = torch.zeros(2, 2 * scale + 1)
    ahead = scale + (scale + 1) // 2
    first[ahead], first[ahead - scale] = 1, -1
    second[0], second[scale], second[2 * scale] = 0.5, -1, 0.5
    filters = torch.zeros(FILTERS, 1, 2 * scale + 1, 2 * scale + 1)
    filters[0, 0, scale], filters[1, 0, :, scale] = first, first
    filters[2, 0, scale], filters[3, 0, :, scale] = second, second
    return filters


def _copy_size(size: Sequence[int], copy: int, scale: int) -> tuple[int, int]:
    """Low-res height and width of a shrunken photo."""
    height, width = (math.ceil(side * SHRINK**copy) // scale for side in size)
    return height, width


def _patches(size: tuple[int, int]) -> int:
    """Training patches of a low-res image."""
    height, width = (max(0, side - 2 * MARGIN) for side in size)
    return height * width


def _training_pair(image: Tensor, scale: int, copy: int = 0) -> tuple[Tensor, Tensor]:
    """Bicubic's luma of a (3, H, W) photo, and what it lacks, both (1, 1, scale * h, scale * w)."""
    luma = rgb_to_y(image.float())[None] / 255
    if copy:
        luma = imresize(luma, SHRINK**copy)
    height, width = (side // scale * scale for side in luma.shape[-2:])
    luma = luma[..., :height, :width]
    enlarged = bicubic_upscale(downscale(luma, scale), scale)
    return enlarged, luma - enlarged


def learn_anchors(samples: Tensor, count: int, seed: int) -> Tensor:
    """Atoms of a dictionary in which samples are sparse.

    Args:
        samples: (N, K), rows of length 1, in random order; the first ``count`` are what the
            dictionary starts from.
        count: Atoms.
        seed: Of the order in which samples are seen and unused atoms are replaced.

    Returns:
        (count, K), rows of length 1.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    rows = samples.double().numpy()
    learning = MiniBatchDictionaryLearning(
        count,
        alpha=SPARSITY,
        max_iter=1,  # passes over the samples
        batch_size=DICTIONARY_BATCH,
        fit_algorithm="cd",
        dict_init=rows[:count].copy(),
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A code that is nearly optimal moves its atoms as well: only their directions are used.
        warnings.simplefilter("ignore", ConvergenceWarning)
        learning.fit(rows)
    atoms = torch.from_numpy(learning.components_).to(samples.dtype)
    return F.normalize(atoms, dim=1)
