"""The numbers that the paper prints, to be shown beside one's own.

Paper: Tables 1, 3, 4 and 5 (DomainNet) and 6, which holds Table 2 (PACS). All
are accuracies in percent at λ_O = 0.1. Of Aggregate-SGD on ResNet-18 in Table 1
the copy at hand keeps the last three numbers alone; the others are dashes.
"""

from collections.abc import Sequence

from dmg_tf.studies.table import Cell, Row

PUBLISHED_DOMAINS = {
    "pacs": ("art_painting", "cartoon", "photo", "sketch"),
    "domainnet": (
        "clipart",
        "infograph",
        "painting",
        "quickdraw",
        "real",
        "sketch",
    ),
}
_ALEXNET, _RESNET18, _RESNET50 = "alexnet", "resnet18", "resnet50"

_PACS_OUT_OF_DOMAIN = {
    _ALEXNET: """
        Aggregate [29]  63.40 66.10 88.50 56.60 68.70
        Aggregate*      56.20 70.69 86.29 60.32 68.38
        Multi-Headed    61.67 67.88 82.93 59.38 67.97
        DICA            64.60 64.50 91.80 51.10 68.00
        D-MTAE          60.30 58.70 91.10 47.90 64.50
        DSN             61.10 66.50 83.30 58.60 67.40
        TF-CNN          62.90 67.00 89.50 57.50 69.20
        Fusion          64.10 66.80 90.20 60.10 70.30
        DANN            63.20 67.50 88.10 57.00 69.00
        MLDG            66.20 66.90 88.00 59.00 70.00
        MetaReg         63.50 69.50 87.40 59.10 69.90
        CrossGrad       61.00 67.20 87.60 55.90 67.90
        Epi-FCR         64.70 72.30 86.10 65.00 72.00
        MASF            70.35 72.46 90.68 67.33 75.21
        DMG             64.65 69.88 87.31 71.42 73.32
    """,
    _RESNET18: """
        Aggregate [29]  77.60 73.90 94.40 74.30 79.10
        Aggregate*      72.61 78.46 93.17 65.20 77.36
        Multi-Headed    78.76 72.10 94.31 71.77 79.24
        DANN            81.30 73.80 94.00 74.30 80.80
        MAML            78.30 76.50 95.10 72.60 80.60
        MLDG            79.50 77.30 94.30 71.50 80.70
        MetaReg         79.50 75.40 94.30 72.20 80.40
        CrossGrad       78.70 73.30 94.00 65.10 77.80
        Epi-FCR         82.10 77.00 93.90 73.00 81.50
        MASF            80.29 77.17 94.99 71.68 81.03
        DMG             76.90 80.38 93.35 75.21 81.46
    """,
    _RESNET50: """
        Aggregate*      75.49 80.67 93.05 64.29 78.38
        Multi-Headed    75.15 76.37 95.27 75.26 80.51
        MASF            82.89 80.49 95.01 72.29 82.67
        DMG             82.57 78.11 94.49 78.32 83.37
    """,
}
_DOMAINNET_OUT_OF_DOMAIN = {
    _ALEXNET: """
        Aggregate       47.17 10.15 31.82 11.75 44.35 26.33 28.60
        Aggregate-SGD   42.30 12.42 31.45  9.52 42.76 29.34 27.97
        Multi-Headed    45.96 10.56 31.07 12.05 43.56 25.93 28.19
        MetaReg-SGD     42.86 12.68 32.47  9.37 43.43 29.87 28.45
        DMG             50.06 12.23 34.44 13.07 46.98 30.13 31.15
    """,
    _RESNET18: """
        Aggregate       57.15 17.69 43.21 13.87 54.91 39.41 37.71
        Aggregate-SGD   -     -     -     -     57.90 38.83 38.25
        Multi-Headed    55.46 17.51 40.85 11.19 52.92 38.65 36.10
        MetaReg-SGD     53.68 21.06 45.29 10.63 58.47 42.31 38.57
        DMG             60.07 18.76 44.53 14.16 54.72 41.73 39.00
    """,
    _RESNET50: """
        Aggregate       62.18 19.94 45.47 13.81 57.45 44.36 40.54
        Aggregate-SGD   64.04 23.63 51.04 13.11 64.45 47.75 44.00
        Multi-Headed    61.74 21.25 46.80 13.89 58.47 45.43 41.27
        MetaReg-SGD     59.77 25.58 50.19 11.52 64.56 50.09 43.62
        DMG             65.24 22.15 50.03 15.68 59.63 49.02 43.63
    """,
}
_DOMAINNET_IN_DOMAIN = {
    _ALEXNET: """
        Aggregate       48.56 57.24 51.38 49.60 47.48 50.72 50.83
        Aggregate-SGD   48.14 54.93 50.55 48.33 47.57 49.98 49.92
        Multi-Headed    48.16 56.73 51.31 49.75 47.65 50.82 50.74
        MetaReg-SGD     48.87 56.06 51.23 49.60 48.66 50.12 50.76
        DMG             49.63 58.47 52.88 51.33 49.07 52.42 52.30
        DMG-KD          51.91 61.01 54.93 53.84 51.08 54.47 54.54
    """,
    _RESNET18: """
        Aggregate       56.58 65.27 59.29 59.15 55.47 58.84 59.10
        Aggregate-SGD   55.32 63.63 57.40 57.98 53.99 57.37 57.62
        Multi-Headed    47.79 56.80 50.85 54.86 46.92 49.50 51.12
        MetaReg-SGD     56.25 63.07 57.74 58.73 55.40 58.04 58.21
        DMG             57.39 65.73 58.87 59.66 55.95 58.63 59.37
        DMG-KD          58.61 66.98 59.86 60.98 57.24 59.84 60.59
    """,
    _RESNET50: """
        Aggregate       61.68 69.73 63.90 63.88 60.29 63.62 63.85
        Aggregate-SGD   61.64 69.36 63.65 64.08 60.52 63.82 63.85
        Multi-Headed    53.77 62.09 56.54 60.32 51.38 55.10 56.53
        MetaReg-SGD     61.86 68.80 63.23 64.75 60.59 63.21 63.74
        DMG             61.78 69.49 63.93 64.09 59.92 63.50 63.79
        DMG-KD          63.16 70.79 65.03 65.67 61.30 64.86 65.14
    """,
}
_DOMAINNET_ENSEMBLING = {
    f"{_ALEXNET}, out-of-domain": """
        DMG (Pred-Ens)  50.06 12.23 34.44 13.07 46.98 30.13 31.15
        DMG (Mask-Ens)  50.10 12.17 34.38 13.14 46.79 30.01 31.10
    """,
    f"{_ALEXNET}, in-domain": """
        DMG (Pred-Ens)  49.63 58.47 52.88 51.33 49.07 52.42 52.30
        DMG (Mask-Ens)  49.49 58.38 52.81 51.16 48.90 52.29 52.17
        DMG-KD          51.91 61.01 54.93 53.84 51.08 54.47 54.54
    """,
}
# Columns: the sources in alphabetical order, then the target.
_CHOSEN_MASK_CLIPART = {
    f"{_ALEXNET}, DMG": """
        mask of infograph  23.84 45.56 59.13 62.43 46.70 46.91
        mask of painting   19.88 52.41 59.00 60.36 45.75 46.87
        mask of quickdraw  21.72 48.47 62.52 65.32 48.69 50.33
        mask of real       18.42 43.48 58.80 68.62 44.81 47.69
        mask of sketch     19.45 45.41 57.64 61.78 52.16 48.36
        combined           22.28 49.55 60.45 66.14 49.72 50.06
    """
}
_CHOSEN_MASK_QUICKDRAW = {
    f"{_ALEXNET}, DMG": """
        mask of clipart    66.70 21.36 46.60 64.35 49.70 13.37
        mask of infograph  60.71 24.95 47.06 63.78 49.36 12.58
        mask of painting   59.21 20.59 53.21 60.67 48.14 12.01
        mask of real       59.62 19.41 43.82 69.82 47.22 11.31
        mask of sketch     60.97 20.29 45.69 62.40 54.51 13.08
        combined           64.13 23.21 50.05 67.03 52.24 13.07
    """
}
_TABLES = {
    ("pacs", "out_of_domain"): _PACS_OUT_OF_DOMAIN,
    ("domainnet", "out_of_domain"): _DOMAINNET_OUT_OF_DOMAIN,
    ("domainnet", "in_domain"): _DOMAINNET_IN_DOMAIN,
    ("domainnet", "ensembling"): _DOMAINNET_ENSEMBLING,
    ("domainnet", "chosen_mask_clipart"): _CHOSEN_MASK_CLIPART,
    ("domainnet", "chosen_mask_quickdraw"): _CHOSEN_MASK_QUICKDRAW,
}


def published_rows(
    dataset: str, table: str, backbones: Sequence[str] = ()
) -> list[Row]:
    """Returns the paper's rows of a table.

    Args:
        dataset: Name in `DATASETS`.
        table: Name of the table, as in `paper_tables`.
        backbones: The backbones to show; all where the paper has none of them.

    Returns:
        Rows marked as published; none where the paper has no such table.
    """
    groups = _TABLES.get((dataset, table), {})
    chosen = {k: v for k, v in groups.items() if k.split(",")[0] in backbones}
    domains = PUBLISHED_DOMAINS.get(dataset, ())
    columns = (*domains, "overall")
    if table.startswith("chosen_mask_"):
        target = table.removeprefix("chosen_mask_")
        sources = (name for name in domains if name != target)
        columns = (*sources, f"target {target}")
    rows = []
    for group, text in (chosen or groups).items():
        for line in text.strip().splitlines():
            words = line.split()
            numbers = words[-len(columns) :]
            cells = {
                column: None if number == "-" else Cell(float(number) / 100)
                for column, number in zip(columns, numbers, strict=True)
            }
            label = " ".join(words[: -len(columns)])
            rows.append(Row(group, label, cells, published=True))
    return rows
