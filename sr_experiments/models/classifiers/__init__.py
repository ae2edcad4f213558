"""Networks that say what a picture shows, in place of enlarging it."""

from sr_experiments.models.classifiers.base import Classifier
from sr_experiments.models.classifiers.glasses_cnn import GlassesCNN
from sr_experiments.models.classifiers.timm_classifier import TimmClassifier

__all__ = ["Classifier", "GlassesCNN", "TimmClassifier"]
