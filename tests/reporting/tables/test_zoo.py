"""The zoo: counts that are known, sizes that papers print, and what is too large to build."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from sr_experiments.configuration.networks import names_of_networks
from sr_experiments.reporting.papers import MOBILE_AI_2022
from sr_experiments.reporting.tables import sources
from sr_experiments.reporting.tables.measured import Costs, Entry, count, int8_file
from sr_experiments.reporting.tables.render import as_csv
from sr_experiments.reporting.tables.zoo import zoo_table

CONF = Path(__file__).resolve().parents[3] / "conf" / "model"
# Kernels of XLSR x3 by hand: head, mix, three blocks, skip, merge, tail.
XLSR_WEIGHTS = 864 + 1024 + 3 * (2304 + 1024) + 432 + 1536 + 7776


def entry(name: str, scale: int = 3, **options: Any) -> Entry:
    root = OmegaConf.create({"scale": scale, "model": OmegaConf.load(CONF / f"{name}.yaml")})
    config = OmegaConf.to_container(root.model, resolve=True)
    assert isinstance(config, dict)
    values = {str(key): value for key, value in config.items()}
    return Entry(name, f"about {name}", values | options)


def rows(names: list[str], **options: Any) -> dict[str, dict[str, str]]:
    entries = [entry(name) for name in names]
    table = zoo_table(entries, 3, threads=1, repeats=0, **options)
    return {row["network"]: row for row in csv.DictReader(io.StringIO(as_csv(table)))}


@pytest.fixture(scope="module")
def zoo() -> dict[str, dict[str, str]]:
    return rows(
        ["xlsr", "abpn_rrrb", "imdn", "edsr_large", "klab_sr", "just_a_try", "kln", "aplus"]
    )


def test_counts_are_the_published_ones(zoo: dict[str, dict[str, str]]) -> None:
    row = zoo["xlsr"]
    assert (row["parameters"], row["printed"], row["agrees"]) == ("21947", "22K", "yes")
    assert float(row["gmac"]) * 1e9 == XLSR_WEIGHTS * 640 * 360
    # Of its ten convolutions in a row five are 3x3.
    assert row["field"] == "11"
    row = zoo["abpn_rrrb"]
    assert (row["parameters"], row["training"]) == ("42539", "140203")
    assert (row["printed"], row["agrees"]) == ("42.5K (140K)", "yes")
    assert (zoo["imdn"]["printed"], zoo["imdn"]["agrees"]) == ("500K", "no")


def test_a_large_network_is_counted_and_not_built(
    zoo: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = zoo["edsr_large"]
    assert (row["parameters"], row["kib"], row["ms"]) == ("43680003", "large", "")
    assert float(row["gmac"]) > 10_000
    devices: list[str] = []
    build = Entry.build

    def watched(self: Entry, device: str = "cpu") -> Any:
        devices.append(device)
        return build(self, device)

    monkeypatch.setattr(Entry, "build", watched)
    count(entry("edsr_large"))
    assert devices == ["meta"]


def test_what_cannot_be_deployed_says_why_and_is_counted_all_the_same(
    zoo: dict[str, dict[str, str]],
) -> None:
    assert "not deployable" in zoo["aplus"]["limits"]
    assert zoo["aplus"]["kib"] == ""
    # 703,059 parameters, nearly all of them kernels applied to every low-res pixel
    assert float(zoo["imdn"]["gmac"]) == pytest.approx(0.703 * 640 * 360 / 1e3, rel=0.02)
    assert zoo["kln"]["limits"].startswith("not batch_independent: ")


def test_sizes_that_cannot_match_are_marked_with_the_reason(
    zoo: dict[str, dict[str, str]],
) -> None:
    assert zoo["klab_sr"]["verdict"] == "cannot match (5.9)"
    assert zoo["just_a_try"]["verdict"] == "cannot match (8.7)"
    table = zoo_table([entry("just_a_try")], 3, threads=1, repeats=0)
    assert any("20 channels, and the report says 12" in note for note in table.notes)


@pytest.fixture(scope="module")
def costs() -> dict[str, Costs]:
    return {name: count(entry(name)) for name in names_of_networks()}


def test_every_network_is_counted_and_has_a_graph_or_a_reason(costs: dict[str, Costs]) -> None:
    for name, found in costs.items():
        assert found.training >= found.parameters, name
        assert found.deployable == (found.band is not None), name
        assert found.deployable or found.limits, name


def test_every_other_size_of_the_report_is_within_6_kib_of_its_networks_band(
    costs: dict[str, Costs],
) -> None:
    for row in MOBILE_AI_2022:
        if row.kilobytes is None or row.model in sources.UNMATCHED:
            continue
        band = costs[row.model].band
        assert band is not None
        assert band.distance(row.kilobytes) <= (6 if row.model == "xcat" else 0), row.team


def test_untrained_file_is_as_large_as_the_trained_one_of_the_record() -> None:
    # outputs/records/2026-11-21-xlsr-photos/summary.json, from before files had metadata.
    metadata = 528
    assert len(int8_file(entry("xlsr"))) == 36_016 + metadata


def test_every_count_that_a_source_prints_is_reached_but_imdns(costs: dict[str, Costs]) -> None:
    for (name, scale), source in sources._SOURCES.items():
        found = costs[name] if scale == 3 else count(entry(name, scale))
        reached = sources.agrees(source.parameters, found.parameters)
        reached &= not source.training or sources.agrees(source.training, found.training)
        assert reached == (name != "imdn"), (name, scale)


def test_sources_are_of_networks_that_exist() -> None:
    known = set(names_of_networks())
    assert {name for name, _ in sources._SOURCES} <= known
    assert sources.LAYOUTS.keys() <= known
    assert sources.LAYOUTS.keys() >= sources.UNMATCHED.keys()


def test_a_timed_network_says_how_it_was_timed() -> None:
    table = zoo_table([entry("just_a_try")], 3, threads=1, repeats=2)
    (row,) = table.rows
    assert isinstance(row["ms"], float)
    assert row["ms"] > 0
    assert row["runs"] == 2
    assert any("640x360 enlarged on 1 CPU threads" in note for note in table.notes)


def test_the_report_has_nothing_to_say_at_another_scale() -> None:
    table = zoo_table([entry("abpn", 2)], 2, threads=1, repeats=0)
    (row,) = table.rows
    assert table.name == "zoo_x2"
    assert "report_kib" not in row
    assert "printed" not in row


def test_a_network_that_refuses_a_scale_says_so_in_its_row() -> None:
    table = zoo_table([entry("xcat", channels=30)], 3, threads=1, repeats=0)
    (row,) = table.rows
    assert "use a multiple of 4" in str(row["limits"])
