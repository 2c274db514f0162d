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
from dmg_tf.data.datasets.published import Published, PublishedFile

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
    ),
    files=(
        # DomainBed's copy.
        PublishedFile(
            name="VLCS.tar.gz",
            page="https://drive.google.com/uc?id=1skwblH1_okBwxWxmRsp9_qi15hyPpxg8",
            checksum="md5:8870171eba660927d9668f4e515928e4",
            folders={
                f"VLCS/{domain}": domain
                for domain in ("Caltech101", "LabelMe", "SUN09", "VOC2007")
            },
        ),
    ),
)
