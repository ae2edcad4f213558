"""What the pictures of a mini-batch study are sorted by."""

from sr_experiments.studies.measures.base import ENDS, Measure, in_order, measured, name_of
from sr_experiments.studies.measures.colour import MeanColour
from sr_experiments.studies.measures.edges import Edges
from sr_experiments.studies.measures.intensity import Intensity
from sr_experiments.studies.measures.perceptual import LPIPS, FeatureDistance
from sr_experiments.studies.measures.shuffled import Shuffled

__all__ = [
    "ENDS",
    "LPIPS",
    "Edges",
    "FeatureDistance",
    "Intensity",
    "MeanColour",
    "Measure",
    "Shuffled",
    "in_order",
    "measured",
    "name_of",
]
