"""Figures of the baselines, as their papers and repositories print them.

Luma PSNR and SSIM at a border of the scale on the benchmark sets; RGB PSNR on DIV2K's validation
part. The papers were not at hand: the rows of IMDN, RRDB and SRCNN are those that READMEs of
several other networks reprint alike, RRDB's also that of its authors; WDSR's and MSRResNet's are
their repositories' own. SRGAN's authors measure SSIM otherwise, so theirs is left out. SESR's
tables are of luma networks that were trained so, and its repository has them as a picture only.
A+'s are those that two READMEs reprint from the papers of VDSR and EDSR, trained on T91; on Set5
at x3 they differ by 0.01 dB, and the one given is that of A+'s own paper.
"""

Row = dict[str, tuple[float, float | None]]

IMDN_PAPER = "IMDN paper (Hui et al., 2019), as others reprint it"
RRDB_PAPER = "ESRGAN authors' repository xinntao/ESRGAN: 23 blocks, trained on DF2K"
SRGAN_PAPER = "SRGAN paper (Ledig et al., 2017), table 2: SRResNet-MSE, as others reprint it"
A_PLUS_PAPER = "A+ (Timofte et al., 2014), as later papers and others reprint it"
EDSR_TABLES = "EDSR paper (Lim et al., 2017), tables 2 and 3, as others reprint them"
BASICSR = "BasicSR's model zoo (xinntao/BasicSR)"
WDSR_REPOSITORY = "WDSR authors' repository JiahuiYu/wdsr_ntire2018: baseline, 16 blocks"

# Network, scale and source, then PSNR and SSIM of luma by set.
LUMA: dict[tuple[str, int, str], Row] = {
    ("Bicubic", 2, IMDN_PAPER): {"manga109": (30.80, 0.9339)},
    ("Bicubic", 4, IMDN_PAPER): {"manga109": (24.89, 0.7866)},
    ("APlus", 2, A_PLUS_PAPER): {
        "set5": (36.54, 0.9544),
        "set14": (32.28, 0.9056),
        "b100": (31.21, 0.8863),
        "urban100": (29.20, 0.8938),
    },
    ("APlus", 3, A_PLUS_PAPER): {
        "set5": (32.59, 0.9088),
        "set14": (29.13, 0.8188),
        "b100": (28.29, 0.7835),
        "urban100": (26.03, 0.7973),
    },
    ("APlus", 4, A_PLUS_PAPER): {
        "set5": (30.28, 0.8603),
        "set14": (27.32, 0.7491),
        "b100": (26.82, 0.7087),
        "urban100": (24.32, 0.7183),
    },
    ("IMDN", 2, IMDN_PAPER): {
        "set5": (38.00, 0.9605),
        "set14": (33.63, 0.9177),
        "b100": (32.19, 0.8996),
        "urban100": (32.17, 0.9283),
        "manga109": (38.88, 0.9774),
    },
    ("IMDN", 3, IMDN_PAPER): {
        "set5": (34.36, 0.9270),
        "set14": (30.32, 0.8417),
        "b100": (29.09, 0.8046),
        "urban100": (28.17, 0.8519),
        "manga109": (33.61, 0.9445),
    },
    ("IMDN", 4, IMDN_PAPER): {
        "set5": (32.21, 0.8948),
        "set14": (28.58, 0.7811),
        "b100": (27.56, 0.7353),
        "urban100": (26.04, 0.7838),
        "manga109": (30.45, 0.9075),
    },
    ("RRDB", 4, RRDB_PAPER): {
        "set5": (32.73, 0.9011),
        "set14": (28.99, 0.7917),
        "b100": (27.85, 0.7455),
        "urban100": (27.03, 0.8153),
        "manga109": (31.66, 0.9196),
    },
    ("SRResNet", 4, SRGAN_PAPER): {
        "set5": (32.05, None),
        "set14": (28.49, None),
        "b100": (27.58, None),
    },
}

# Network and source, then PSNR over RGB on DIV2K's validation part by scale.
DIV2K_RGB: dict[tuple[str, str], dict[int, float]] = {
    ("Bicubic", EDSR_TABLES): {2: 31.01, 3: 28.22, 4: 26.66},
    ("APlus", EDSR_TABLES): {2: 32.89, 3: 29.50, 4: 27.70},
    ("SRCNN", EDSR_TABLES): {2: 33.05, 3: 29.64, 4: 27.78},
    ("VDSR", EDSR_TABLES): {2: 33.66, 3: 30.09, 4: 28.17},
    ("SRResNet", EDSR_TABLES): {2: 34.40, 3: 30.82, 4: 28.92},
    ("EDSR", EDSR_TABLES): {2: 35.03, 3: 31.26, 4: 29.25},
    ("MSRResNet", BASICSR): {2: 34.67, 3: 30.97, 4: 29.00},
    ("WDSR", WDSR_REPOSITORY): {2: 34.77},
}
