import pytest

from dmg_tf.studies.paper.published import published_rows

# As printed: the paper took it from elsewhere, where it is another number.
MISPRINTED = ("resnet18", "Aggregate [29]")


@pytest.mark.parametrize(
    ("dataset", "table", "count"),
    [
        ("pacs", "out_of_domain", 30),
        ("domainnet", "out_of_domain", 15),
        ("domainnet", "in_domain", 18),
        ("domainnet", "ensembling", 5),
    ],
)
def test_overall_is_the_mean(dataset, table, count):
    rows = published_rows(dataset, table)
    assert len(rows) == count
    for row in rows:
        *cells, overall = row.cells.values()
        if None not in cells and (row.group, row.label) != MISPRINTED:
            mean = sum(cell.mean for cell in cells) / len(cells)
            # Older papers round to a tenth of a percent.
            assert mean == pytest.approx(overall.mean, abs=5.1e-4), row


def test_own_mask_is_best_on_its_domain():
    for target in ("clipart", "quickdraw"):
        *masks, combined = published_rows("domainnet", f"chosen_mask_{target}")
        assert combined.label == "combined" and len(masks) == 5
        for row in masks:
            domain = row.label.removeprefix("mask of ")
            best = max(other.cells[domain].mean for other in masks)
            assert row.cells[domain].mean == best


def test_rows_are_of_the_backbones_that_were_run():
    rows = published_rows("pacs", "out_of_domain", ["resnet50"])
    assert {row.group for row in rows} == {"resnet50"} and len(rows) == 4
    every = published_rows("pacs", "out_of_domain", ["efficientnet_lite0"])
    assert len(every) == 30
    assert not published_rows("shapes", "out_of_domain")
