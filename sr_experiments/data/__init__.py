"""Sources, degradation, the packed store, sampling and the data of an experiment."""

from sr_experiments.data.cifar10 import Cifar10Data
from sr_experiments.data.datamodule import SRData, default_cache_dir
from sr_experiments.data.finding import ImageFile, find_images
from sr_experiments.data.images import image_size, load_image
from sr_experiments.data.labelled import LabelledData, LabelledPart
from sr_experiments.data.labelled_store import LabelledImages, load_square, packed_labelled, square
from sr_experiments.data.labels import LabelledFile, read_labels
from sr_experiments.data.photo_crops import PhotoCrops
from sr_experiments.data.sampler import Draw, PatchSampler
from sr_experiments.data.sources import SOURCES
from sr_experiments.data.store import PackedImages, Pair, pack, packed

__all__ = [
    "SOURCES",
    "Cifar10Data",
    "Draw",
    "ImageFile",
    "LabelledData",
    "LabelledFile",
    "LabelledImages",
    "LabelledPart",
    "PackedImages",
    "Pair",
    "PatchSampler",
    "PhotoCrops",
    "SRData",
    "default_cache_dir",
    "find_images",
    "image_size",
    "load_image",
    "load_square",
    "pack",
    "packed",
    "packed_labelled",
    "read_labels",
    "square",
]
