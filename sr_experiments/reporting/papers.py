"""Tables of the papers as printed, cell by cell, to be set beside our own.

None stands for a cell without a number ("-", "n.a.").

Sources:
- XLSR: Ayazoglu, "Extremely Lightweight Quantization Robust Real-Time Single-Image Super
  Resolution for Mobile Devices", 2021, arXiv:2105.10288, tables 1 to 5.
- Mobile AI 2022: Ignatov et al., "Efficient and Accurate Quantized Image Super-Resolution on
  Mobile NPUs, Mobile AI & AIM 2022 challenge: Report", arXiv:2211.05910, table 1.
- Swift-SRGAN: Krishnan and Krishnan, "SwiftSRGAN - Rethinking Super-Resolution for Efficient and
  Real-time Inference", 2021, arXiv:2111.14320, tables II and III (which its text swaps).
"""

from dataclasses import dataclass

XLSR_PAPER = "XLSR paper (Ayazoglu, 2021)"
MOBILE_AI_2022_REPORT = "Mobile AI 2022 report (Ignatov et al., 2022)"

# Table 1: number of parameters, RGB in, x3. The paper marks VDSR, FSRCNN and ESPCN with a star.
XLSR_TABLE_1 = {
    "EDSR": "43M",
    "WDSR": "75M",
    "VDSR": "668K",
    "IMDN": "500K",
    "FSRCNN": "25K",
    "ESPCN": "31K",
    "XLSR": "22K",
}

# Table 4: PSNR in dB at x3, of luma but on DIV2K, where it is of RGB; floating point.
XLSR_TABLE_4_METHODS = ("Bicubic", "FSRCNN", "ESPCN", "VDSR", "IMDN", "EDSR", "XLSR")
XLSR_TABLE_4: dict[str, tuple[float | None, ...]] = {
    "set5": (30.41, 33.16, 33.13, 33.66, 34.36, 34.65, 33.42),
    "set14": (27.55, 29.43, 29.42, 29.77, 30.32, 30.52, 29.73),
    "b100": (27.22, 28.60, 28.50, 28.82, 29.09, 29.25, 28.55),
    "urban100": (24.47, 26.48, 26.41, 27.14, 28.17, 28.80, 26.71),
    "manga109": (26.99, 30.98, 30.79, 32.01, 33.61, None, 31.63),
    "div2k:val": (28.22, None, None, 30.09, None, 31.26, 30.10),
}

# Table 2: XLSR's output; PSNR over RGB on DIV2K's validation part at x3: float32, uint8, drop.
XLSR_TABLE_2 = {"Linear": (30.11, 24.72, 5.39), "Clipped ReLU": (30.10, 29.82, 0.28)}

# Table 3: the challenge of 2021 on DIV2K's test part: PSNR and SSIM over RGB, ms, score.
XLSR_TABLE_3 = (
    ("XLSR", 29.58, 0.86, 44.85, 51.02),
    ("2nd", 29.41, 0.8537, 38.32, 47.18),
    ("3rd", 29.52, 0.8607, 62.25, 33.82),
    ("4th", 28.82, 0.8428, 76.61, 10.41),
    ("5th", 28.92, 0.8486, 718.32, 1.28),
)

# Table 5: PSNR over RGB on DIV2K's validation part at x3: float32, uint8, drop.
XLSR_TABLE_5 = {
    "FSRCNN": (29.67, 21.95, 7.72),
    "ESPCN": (29.54, 23.93, 5.61),
    "XLSR": (30.10, 29.82, 0.28),
}

SWIFT_SRGAN_PAPER = "Swift-SRGAN paper (Krishnan and Krishnan, 2021)"

# Table II: PSNR and SSIM at x4. Its second row of ESRGAN says Set5 where Set14 is meant.
SWIFT_SRGAN_TABLE_2: dict[str, dict[str, tuple[float, float]]] = {
    "set5": {"ESRGAN": (32.7, 0.9011), "SRGAN": (29.40, 0.8501), "Swift-SRGAN": (25.13, 0.7940)},
    "set14": {"ESRGAN": (28.7, 0.7917), "SRGAN": (26.02, 0.7397), "Swift-SRGAN": (23.29, 0.7012)},
}

# Table III: milliseconds for one frame on a Tesla K80, by height and width of the low-res frame.
SWIFT_SRGAN_TABLE_3: dict[tuple[int, int], dict[str, float]] = {
    (270, 480): {"SRGAN": 812, "ESRGAN": 974, "Swift-SRGAN": 5.605},
    (540, 960): {"SRGAN": 1210, "ESRGAN": 1330, "Swift-SRGAN": 16.18},
}


@dataclass(frozen=True)
class Entry2022:
    """A row of table 1 of the Mobile AI 2022 report.

    Attributes:
        team: As printed.
        model: Option of ``conf/model``.
        kilobytes: Of the INT8 TFLite file; 1,024 bytes each, as three public files show.
        psnr: dB over RGB on DIV2K's test part, of the INT8 network where there is one.
        ssim: On the same.
        drop: dB from FP32 to INT8.
        cpu_ms: Of a 640x360 frame on the CPU of the Synaptics VS680.
        npu_ms: The same on its NPU.
        speed_up: ``cpu_ms / npu_ms``.
        score: The challenge's.
    """

    team: str
    model: str
    kilobytes: int | None
    psnr: float
    ssim: float
    drop: float | None = None
    cpu_ms: int | None = None
    npu_ms: float | None = None
    speed_up: float | None = None
    score: float | None = None


MOBILE_AI_2022 = (
    Entry2022("Z6", "scsrn", 67, 30.03, 0.8738, 0.06, 809, 19.2, 42.1, 22.22),
    Entry2022("TCLResearchEurope", "rpq", 53, 29.88, 0.8705, 0.13, 824, 15.9, 51.8, 21.84),
    Entry2022("ECNUSR", "pureconvsr", 50, 29.82, 0.8697, 0.10, 553, 15.1, 36.6, 21.08),
    Entry2022("LCVG", "hopn", 48, 29.76, 0.8675, 0.11, 787, 15.0, 52.5, 19.59),
    Entry2022("BOE-IOT-AIBD", "boenet", 57, 29.80, 0.8675, 0.19, 877, 16.1, 54.5, 19.27),
    Entry2022("NJUST", "emsrnet", 57, 29.76, 0.8676, 0.16, 767, 15.8, 48.5, 18.56),
    Entry2022("Antins.cv", "antins", 38, 29.58, 0.8609, None, 543, 15.2, 35.7, 15.02),
    Entry2022("GenMedia Group", "skipskip", 56, 29.90, 0.8704, 0.11, 855, 25.6, 33.4, 13.91),
    Entry2022("Vccip", "vccip", 67, 29.98, 0.8729, None, 1042, 30.5, 34.2, 13.07),
    Entry2022("MegSR", "ncnet", 65, 29.94, 0.8704, None, 965, 29.8, 32.4, 12.65),
    Entry2022("DoubleZ", "doublez", 63, 29.94, 0.8712, 0.1, 990, 30.1, 32.9, 12.54),
    Entry2022("Jeremy Kwon", "s2r2", 48, 29.80, 0.8691, 0.09, 782, 25.7, 30.4, 12.09),
    Entry2022("Lab216", "lab216", 78, 29.94, 0.8728, 0.0, 1110, 31.8, 34.9, 11.85),
    Entry2022("TOVB", "rbpn", 56, 30.01, 0.8740, 0.04, 950, 43.3, 21.9, 9.60),
    Entry2022("ABPN (baseline)", "abpn", 53, 29.87, 0.8686, None, 998, 36.9, 27.0, 9.27),
    Entry2022("Samsung Research", "abpn_plus_plus", 57, 29.95, 0.8728, 0.1, 941, 43.2, 21.8, 8.84),
    Entry2022("Rtsir2022", "rtsisr2022", 68, 30.00, 0.8729, 0.09, 977, 46.4, 21.1, 8.83),
    Entry2022("Aselsan Research", "xcat", 30, 29.67, 0.8651, None, 598, 30.2, 19.8, 8.59),
    Entry2022("Klab_SR", "klab_sr", 39, 29.88, 0.8700, None, 850, 43.1, 19.7, 8.05),
    Entry2022("TCL Research HK", "acsr", 121, 30.10, 0.8751, 0.04, 1772, 60.2, 29.4, 7.81),
    Entry2022("RepGSR", "repgsr", 90, 30.06, 0.8739, 0.02, 1679, 61.3, 27.4, 7.26),
    Entry2022("ICL", "abpn_rrrb", 55, 29.76, 0.8641, 0.23, 949, 43.2, 22.0, 6.79),
    Entry2022("Just A try", "just_a_try", 39, 29.75, 0.8671, None, 766, 42.9, 17.9, 6.76),
    Entry2022("Bilibili AI", "bilibili", 75, 29.99, 0.8729, None, 1075, 68.2, 15.8, 5.92),
    Entry2022("MobileSR", "mobilesr", 82, 30.02, 0.8735, 0.07, 1057, 72.4, 14.6, 5.82),
    Entry2022("A+ regression (baseline)", "aplus", None, 29.32, 0.8520),
    Entry2022("Bicubic upscaling (baseline)", "bicubic", None, 28.26, 0.8277),
)
