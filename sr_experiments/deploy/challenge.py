"""The score of the Mobile AI real-time super-resolution challenges.

``2^(2 PSNR) / (C ms)``: XLSR paper, equation 1, and the report of Mobile AI 2022. Neither
prints C; both tables follow from it.
"""

CONSTANTS = {2021: 2.0**48, 2022: 10 * 2.0**48}


def challenge_score(psnr: float, milliseconds: float, year: int) -> float:
    """Score of one network.

    Args:
        psnr: dB over RGB on DIV2K; the organisers' test part is not public.
        milliseconds: Per 640x360 frame enlarged to 1920x1080; the challenge's own ran on a
            Synaptics Dolphin NPU.
        year: 2021 or 2022, whose constants differ tenfold.

    Example:
        >>> round(challenge_score(29.58, 44.85, 2021), 2)
        51.02
    """
    return 2 ** (2 * psnr) / (CONSTANTS[year] * milliseconds)
