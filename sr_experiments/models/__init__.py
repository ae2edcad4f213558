"""Networks only: one paper, one file. A class named here can be a ``_target_`` in conf/model."""

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.acsr import ACSR
from sr_experiments.models.antins import AntinsNet
from sr_experiments.models.aplus import APlus
from sr_experiments.models.base import SRModel, count_parameters
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.bilibili import BilibiliNet
from sr_experiments.models.boenet import BOENet
from sr_experiments.models.classifiers import (
    DPN,
    CifarResNet,
    Classifier,
    GlassesCNN,
    TimmCifar,
    TimmClassifier,
)
from sr_experiments.models.collapse import collapse
from sr_experiments.models.doublez import DoubleZ
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.emsrnet import EMSRNet
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.fsrcnn import FSRCNN
from sr_experiments.models.hopn import HOPN
from sr_experiments.models.imdn import IMDN
from sr_experiments.models.io import SavedModel, load_classifier, load_model, read_model, save_model
from sr_experiments.models.kln import KLN
from sr_experiments.models.lab216 import Lab216Net
from sr_experiments.models.mobilesr import MobileSR
from sr_experiments.models.msrresnet import MSRResNet
from sr_experiments.models.ncnet import NCNet
from sr_experiments.models.pureconvsr import PureConvSR
from sr_experiments.models.repgsr import RepGSR
from sr_experiments.models.rpq import RPQ
from sr_experiments.models.rrdb import RRDB
from sr_experiments.models.s2r2 import S2R2
from sr_experiments.models.scsrn import SCSRN
from sr_experiments.models.sesr import SESR
from sr_experiments.models.skipskip import SkipSkip
from sr_experiments.models.srcnn import SRCNN
from sr_experiments.models.srresnet import SRResNet
from sr_experiments.models.swift_srgan import SwiftSRGAN
from sr_experiments.models.vccip import VccipNet
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.wdsr import WDSR
from sr_experiments.models.xcat import XCAT
from sr_experiments.models.xlsr import XLSR

__all__ = [
    "ABPN",
    "ACSR",
    "DPN",
    "EDSR",
    "ESPCN",
    "FSRCNN",
    "HOPN",
    "IMDN",
    "KLN",
    "RPQ",
    "RRDB",
    "S2R2",
    "SCSRN",
    "SESR",
    "SRCNN",
    "VDSR",
    "WDSR",
    "XCAT",
    "XLSR",
    "APlus",
    "AntinsNet",
    "BOENet",
    "Bicubic",
    "BilibiliNet",
    "CifarResNet",
    "Classifier",
    "DoubleZ",
    "EMSRNet",
    "GlassesCNN",
    "Lab216Net",
    "MSRResNet",
    "MobileSR",
    "NCNet",
    "PureConvSR",
    "RepGSR",
    "SRModel",
    "SRResNet",
    "SavedModel",
    "SkipSkip",
    "SwiftSRGAN",
    "TimmCifar",
    "TimmClassifier",
    "VccipNet",
    "collapse",
    "count_parameters",
    "load_classifier",
    "load_model",
    "read_model",
    "save_model",
]
