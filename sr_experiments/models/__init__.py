"""Networks only: one paper, one file. A class named here can be a ``_target_`` in conf/model."""

from sr_experiments.models.abpn import ABPN
from sr_experiments.models.base import SRModel, count_parameters
from sr_experiments.models.bicubic import Bicubic
from sr_experiments.models.collapse import collapse
from sr_experiments.models.edsr import EDSR
from sr_experiments.models.emsrnet import EMSRNet
from sr_experiments.models.espcn import ESPCN
from sr_experiments.models.fsrcnn import FSRCNN
from sr_experiments.models.io import load_model, save_model
from sr_experiments.models.vdsr import VDSR
from sr_experiments.models.xlsr import XLSR

__all__ = [
    "ABPN",
    "EDSR",
    "ESPCN",
    "FSRCNN",
    "VDSR",
    "XLSR",
    "Bicubic",
    "EMSRNet",
    "SRModel",
    "collapse",
    "count_parameters",
    "load_model",
    "save_model",
]
