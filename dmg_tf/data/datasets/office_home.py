"""Office-Home: 65 things of office and home in four styles.

Venkateswara et al., "Deep Hashing Network for Unsupervised Domain Adaptation",
CVPR 2017. The authors hand it out as DIR/<domain>/<class>/<image>, with the
domain `Real World`; copies write `Real_World`, `RealWorld` or small letters.

Images by domain: 2,427, 4,365, 4,439 and 4,357 (documentation of skada's
`fetch_office_home`), 15,588 in all, as DomainBed's paper has it (Gulrajani and
Lopez-Paz, ICLR 2021).
"""

from dmg_tf.data.datasets.folder import published_spec
from dmg_tf.data.datasets.published import Published, PublishedFile

SPEC = published_spec(
    Published(
        title="Office-Home",
        images={
            ("Art",): 2_427,
            ("Clipart",): 4_365,
            ("Product",): 4_439,
            ("Real World",): 4_357,
        },
        classes=65,
    ),
    files=(
        PublishedFile(
            name="OfficeHomeDataset_10072016.zip",
            page="https://drive.google.com/file/d/0B81rNlvomiwed0V1YUxQdC1uOTg/"
            "view?resourcekey=0-2SNWq0CDAuWOBRRBL7ZZsw",
            checksum="md5:b1c14819770c4448fd5b6d931031c91c",
            folders={
                f"OfficeHomeDataset_10072016/{domain}": domain
                for domain in ("Art", "Clipart", "Product", "Real World")
            },
        ),
    ),
)
