"""The named image sets: what they are, how their folders look, where they come from.

Checksums are those that TensorFlow Datasets (DIV2K, sha256) and torchSR (Flickr2K and EDSR's
benchmark archive, md5) publish; that of BSDS300 is quoted alike by several projects, none of
them Berkeley. Nobody publishes one of LapSRN's archive, which comes over plain http: what is
known of it is the pixels of its sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["SOURCES", "Archive", "Source", "Split"]


@dataclass(frozen=True)
class Archive:
    """A file to download.

    Attributes:
        url: Official address.
        checksum: ``sha256:...`` or ``md5:...``; None when none is published, and then
            ``pictures`` is known.
        into: Folder, below the data sets' own, that it is unpacked in.
        members: What to unpack, as prefixes of the names in the archive.
        pictures: `pictures_digest` of what is unpacked.
        note: What a user should know before trusting it.
    """

    url: str
    checksum: str | None
    members: tuple[str, ...]
    into: str = "."
    pictures: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Split:
    """One part of a set.

    Attributes:
        count: Images that a complete one has.
        folders: Where it may lie below a data folder, in order of preference. Beside a folder
            that ends in ``HR`` one that ends in ``LR_bicubic/X3`` brings low-res images.
        archive: Where it can be had.
    """

    count: int
    folders: tuple[str, ...]
    archive: Archive | None = None


@dataclass(frozen=True)
class Source:
    """A named set.

    Attributes:
        about: One line for lists.
        splits: By name; the first is meant when a specification names none.
        by_hand: How to get it where no address is public.
    """

    about: str
    splits: Mapping[str, Split] = field(default_factory=dict)
    by_hand: str = ""


_ETH = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"
_DIV2K_TRAIN = Archive(
    url=_ETH + "DIV2K_train_HR.zip",
    checksum="sha256:9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
    members=("DIV2K_train_HR/",),
    into="DIV2K",
)
_DIV2K_VALID = Archive(
    url=_ETH + "DIV2K_valid_HR.zip",
    checksum="sha256:20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    members=("DIV2K_valid_HR/",),
    into="DIV2K",
)
_FLICKR2K = Archive(
    url="https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar",
    checksum="md5:5d3f39443d5e9489bff8963f8f26cb03",
    members=("Flickr2K/Flickr2K_HR/",),
)
_BSDS300 = Archive(
    url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/segbench/"
    "BSDS300-images.tgz",
    checksum="sha256:a5f7d0e49fe135c75518a3543ced24470156fd69305ae77845dff2a5138652b4",
    members=("BSDS300/images/",),
)


def _lapsrn(name: str, pictures: str) -> Archive:
    return Archive(
        url="http://vllab.ucmerced.edu/wlai24/LapSRN/results/SR_training_datasets.zip",
        checksum=None,
        members=(f"SR_training_datasets/{name}/", f"{name}/"),
        pictures=pictures,
        note="collected by the authors of LapSRN; the set's own authors offer no archive",
    )


_T91 = _lapsrn("T91", "ef79229ad429fad3107f982e165ac25c3170f099e3b228b6af1d82175ab0d5a6")
_GENERAL100 = _lapsrn(
    "General100", "ad8a7e68e58df959057c9622801fbe164b049c5f16fa19a3328968a2b19e5409"
)


def _benchmark(name: str) -> Archive:
    return Archive(
        url="https://cv.snu.ac.kr/research/EDSR/benchmark.tar",
        checksum="md5:4ace41d33c2384b97e6b320cd0afd6ba",
        members=(f"benchmark/{name}/",),
        note="as collected by the authors of EDSR",
    )


def _test_folders(*names: str) -> tuple[str, ...]:
    return tuple(
        folder.format(name)
        for name in names
        for folder in ("{}/HR", "benchmark/{}/HR", "{}/original", "{}")
    )


SOURCES: dict[str, Source] = {
    "photos": Source("photos that scikit-image's wheel carries: no download"),
    "folder": Source("any folder of images: data.root=..."),
    "div2k": Source(
        "800 + 100 photos of 2K (Agustsson and Timofte, 2017)",
        {
            "train": Split(800, ("DIV2K/DIV2K_train_HR", "DIV2K_train_HR"), _DIV2K_TRAIN),
            "val": Split(100, ("DIV2K/DIV2K_valid_HR", "DIV2K_valid_HR"), _DIV2K_VALID),
        },
    ),
    "flickr2k": Source(
        "2650 photos of 2K (Timofte et al., 2017)",
        {"train": Split(2650, ("Flickr2K/Flickr2K_HR", "Flickr2K_HR", "Flickr2K"), _FLICKR2K)},
    ),
    "t91": Source(
        "91 small photos (Yang et al., 2010)",
        {"train": Split(91, ("T91", "SR_training_datasets/T91", "91-image"), _T91)},
    ),
    "general100": Source(
        "100 photos (FSRCNN; Dong et al., 2016)",
        {
            "train": Split(
                100,
                ("General100", "SR_training_datasets/General100", "General-100"),
                _GENERAL100,
            )
        },
    ),
    "bsds200": Source(
        "the 200 training photos of BSDS300 (Martin et al., 2001)",
        {"train": Split(200, ("BSDS200", "BSDS300/images/train", "images/train"), _BSDS300)},
    ),
    "photos2k": Source(
        "37 desktop backgrounds with a long side of 2040 pixels, as large as DIV2K's photos",
        {"train": Split(37, ("Photos2K",))},
        by_hand="nobody publishes Photos2K as an archive: it is 37 photos of the Debian packages "
        "lomiri-wallpapers, mate-backgrounds and plasma-workspace-wallpapers, scaled to a long "
        "side of 2040 pixels; put yours into Photos2K/ of the data folder, or train on any folder "
        "with data=folder data.root=...",
    ),
    "set5": Source(
        "5 images (Bevilacqua et al., 2012)",
        {"test": Split(5, _test_folders("Set5"), _benchmark("Set5"))},
    ),
    "set14": Source(
        "14 images (Zeyde et al., 2010)",
        {"test": Split(14, _test_folders("Set14"), _benchmark("Set14"))},
    ),
    "b100": Source(
        "the 100 test photos of BSDS300 (Martin et al., 2001)",
        {
            "test": Split(
                100,
                (*_test_folders("B100", "BSD100", "BSDS100"), "BSDS300/images/test"),
                _benchmark("B100"),
            )
        },
    ),
    "urban100": Source(
        "100 photos of buildings (Huang et al., 2015)",
        {"test": Split(100, _test_folders("Urban100"), _benchmark("Urban100"))},
    ),
    "manga109": Source(
        "109 pages of drawings (Matsui et al., 2017)",
        {"test": Split(109, _test_folders("Manga109"))},
        by_hand="Manga109 is given on request: fill in the form on manga109.org, and put the "
        "first page that super-resolution papers use of each of the 109 volumes, as PNG, into "
        "Manga109/HR/ of the data folder",
    ),
}

# Fixed for ever, so that numbers measured on data=photos stay comparable.
PHOTOS: dict[str, tuple[str, ...]] = {
    "train": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    # Part of train, for those who want to draw it more often.
    "colour": (
        "astronaut.png",
        "hubble_deep_field.jpg",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    "val": ("chelsea.png",),
    "test": ("coffee.png",),
}
