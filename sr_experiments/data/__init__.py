"""Sources, degradation, the packed store, sampling and the data of an experiment."""

from sr_experiments.data.datamodule import SRData, default_cache_dir
from sr_experiments.data.finding import ImageFile, find_images
from sr_experiments.data.images import image_size, load_image
from sr_experiments.data.sampler import PatchSampler
from sr_experiments.data.sources import SOURCES
from sr_experiments.data.store import PackedImages, Pair, pack, packed

__all__ = [
    "SOURCES",
    "ImageFile",
    "PackedImages",
    "Pair",
    "PatchSampler",
    "SRData",
    "default_cache_dir",
    "find_images",
    "image_size",
    "load_image",
    "pack",
    "packed",
]
