"""Tables and text made of cards: for the README, and the page beside the weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- networks that come trained -->", "<!-- end of the networks -->"
Card = Mapping[str, Any]


def overview(cards: Sequence[Card]) -> str:
    """A row for each network: luma PSNR on Set5, FP32 and INT8, at each scale."""
    scales = sorted({card["scale"] for card in cards})
    lines = [_line(["network", *(f"x{scale}" for scale in scales)])]
    lines.append(_line(["---", *("---:" for _ in scales)]))
    names = list(dict.fromkeys(card["model"] for card in cards))
    best = {name: _best(cards, name) for name in names}
    bicubic = {card["scale"]: f"{_psnr(card, 'bicubic'):.2f}" for card in cards}
    lines.append(_line(["bicubic", *(bicubic[scale] for scale in scales)]))
    for name in sorted(names, key=lambda name: -best[name]):
        cells = {card["scale"]: _cell(card) for card in cards if card["model"] == name}
        lines.append(_line([f"`{name}`", *(cells.get(scale, "") for scale in scales)]))
    return "\n".join(lines)


def _best(cards: Sequence[Card], name: str) -> float:
    """Mean gain over bicubic, so that a network of one scale stands beside those of three."""
    gains = [
        _psnr(card, "fp32") - _psnr(card, "bicubic") for card in cards if card["model"] == name
    ]
    return math.fsum(gains) / len(gains)


def _cell(card: Card) -> str:
    return f"{_psnr(card, 'fp32'):.2f} / {_psnr(card, 'int8'):.2f}"


def _psnr(card: Card, key: str, name: str = "set5") -> float:
    return float(card["scores"][name][key]["psnr_y"])


def page(cards: Sequence[Card]) -> str:
    """Every card in full, as Markdown."""
    rows = [
        "# Networks that come trained",
        "",
        "`pretrained=<name>` with `scale=` uses them in every verb; `model=<name> pretrained=true`",
        "trains on from them. PSNR in dB and SSIM are of luma, a border of the scale cut,",
        "mean over the images; INT8 is the `.tflite` file on LiteRT's integer kernels.",
        "Written by `python -m sr_experiments.ship`, from the cards beside this page.",
        "",
        _line(["network", "Set5 FP32", "INT8", "Set14 FP32", "INT8", "steps", "KiB FP32", "INT8"]),
        _line(["---", *["---:"] * 7]),
    ]
    for card in cards:
        sizes = [card["files"][key]["bytes"] / 1024 for key in ("fp32", "int8")]
        scores = [f"{_psnr(card, key, of):.2f}" for of in ("set5", "set14") for key in FORMS]
        size = [f"{value:.0f}" for value in sizes]
        rows.append(_line([_name(card), *scores, f"{card['steps']:,}", *size]))
    for card in cards:
        rows += ["", *_card(card)]
    return "\n".join(rows) + "\n"


FORMS = ("fp32", "int8")


def _name(card: Card) -> str:
    return f"{card['model']}_x{card['scale']}"


def _card(card: Card) -> list[str]:
    made, scores = card["made_with"], card["scores"]
    options = ", ".join(f"`{key}={value}`" for key, value in card["options"].items())
    how = "INT8 after training, FP32 as trained"
    if card["on_grid"]:
        how = "INT8 trained on its grid, from the FP32 network"
    if card["gan"]:
        how += "; trained against a discriminator, for looks and not for PSNR"
    lines = [
        f"## {_name(card)}",
        "",
        f"{card['parameters']:,} parameters"
        + (f", with {options}" if options else "")
        + f". {how}.",
        "",
        "```",
        card["command"],
        "```",
        "",
        f"- Data: {', '.join(card['data'])}; seed {card['seed']}; {card['steps']:,} steps in "
        f"{card['seconds']:,.0f} s ({made['device']}, {made['cpu']}, {made['threads']} threads, "
        f"torch {made['torch']}, LiteRT {made['ai-edge-litert']}).",
        f"- Record: {card['record'] or 'none; the command makes it again'}.",
        f"- Licence: {card['licence']}",
        "",
        _line(["set", "bicubic", "FP32", "INT8", "drop"]),
        _line(["---", *["---:"] * 4]),
    ]
    for name, rows in scores.items():
        drop = rows["fp32"]["psnr_y"] - rows["int8"]["psnr_y"]
        cells = [_pair(rows[key]) for key in ("bicubic", *FORMS)]
        lines.append(_line([name, *cells, f"{drop:+.3f}"]))
    return lines


def _pair(score: Mapping[str, float]) -> str:
    return f"{score['psnr_y']:.2f} ({score['ssim_y']:.4f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def replaced(text: str, table: str) -> str:
    """A README with what lies between its two marks replaced; as it is where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n\n{table}\n\n{end}{after}" if end else text
