"""Networks that say what a picture shows, in place of enlarging it."""

from sr_experiments.models.classifiers.base import Classifier
from sr_experiments.models.classifiers.cifar_resnet import CifarResNet
from sr_experiments.models.classifiers.dpn import DPN
from sr_experiments.models.classifiers.glasses_cnn import GlassesCNN
from sr_experiments.models.classifiers.timm_cifar import TimmCifar
from sr_experiments.models.classifiers.timm_classifier import TimmClassifier

__all__ = ["DPN", "CifarResNet", "Classifier", "GlassesCNN", "TimmCifar", "TimmClassifier"]
