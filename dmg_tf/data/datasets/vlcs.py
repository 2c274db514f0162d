"""VLCS: photographs of five classes from four older datasets.

Fang, Xu and Rockmore, "Unbiased Metric Learning", ICCV 2013. DomainBed hands it
out as DIR/<domain>/<class>/<image>, with the datasets' names; JigenDG and Dassl
as DIR/<domain>/<split>/<class>/<image>, with `train` and `crossval`, both of
them once more in `full`, and `test` (30 %), which targets are scored on there.

Images by domain: 1,415 of Caltech, 2,656 of LabelMe, 3,282 of SUN, 3,376 of
PASCAL VOC (the table of jindongwang/transferlearning, doc/dataset.md), 10,729
in all, as DomainBed's paper has it (Gulrajani and Lopez-Paz, ICLR 2021).
"""

from dmg_tf.data.datasets.folder import published_spec
from dmg_tf.data.datasets.published import Published

SPEC = published_spec(
    Published(
        title="VLCS",
        images={
            ("Caltech101", "CALTECH"): 1_415,
            ("LabelMe",): 2_656,
            ("SUN09", "SUN"): 3_282,
            ("VOC2007", "PASCAL"): 3_376,
        },
        classes=5,
    )
)
