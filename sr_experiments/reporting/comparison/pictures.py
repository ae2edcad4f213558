"""The same crops as several networks made them, for one slider."""

from collections.abc import Sequence

from sr_experiments.reporting.comparison.members import Member
from sr_experiments.reporting.panels import ORIGINAL, layers, lossless
from sr_experiments.reporting.slider import Layer, Picture

MOST_RUNS = 6  # a page of all pictures of all runs is too large for a phone


def shared_pictures(members: Sequence[Member], per_set: int) -> tuple[list[Picture], list[Member]]:
    """Pictures that the first run has, in the versions of every run that cut the same crop.

    Args:
        members: The most interesting first.
        per_set: Pictures of each set, at most.

    Returns:
        The pictures, and the runs that are on them.
    """
    able = [member for member in members if member.panels][:MOST_RUNS]
    if not able:
        return [], []
    first = able[0]
    pictures: list[Picture] = []
    taken: dict[str, int] = {}
    for (set_name, name), panels in first.panels.items():
        if taken.get(set_name, 0) >= per_set:
            continue
        taken[set_name] = taken.get(set_name, 0) + 1
        original = panels[-1]
        versions: list[Layer] = []
        for member in able:
            own = member.panels.get((set_name, name))
            if own is None or own[-1].tobytes() != original.tobytes():
                continue
            made = layers(own, set_name, name, member.scores)
            bicubic, networks = made[:1], made[1:]
            versions += bicubic if member is first else []
            versions += [
                Layer(f"{member.label} {layer.label}", layer.webp, layer.note) for layer in networks
            ]
        versions.append(Layer(ORIGINAL, lossless(original)))
        pictures.append(Picture(f"{set_name}: {name}", original.width, original.height, versions))
    return pictures, able
