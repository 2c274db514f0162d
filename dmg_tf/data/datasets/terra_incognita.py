"""Terra Incognita: animals before the camera traps of four places.

Beery et al., "Recognition in Terra Incognita", ECCV 2018, as DomainBed's
download script sorts it: DIR/location_<number>/<class>/<image>, ten classes.

Images by location: 4,879, 9,767, 4,020 and 6,122 (the authors of SWAD and MIRO,
khanrc/miro#9), 24,788 in all, as DomainBed's paper has it (Gulrajani and
Lopez-Paz, ICLR 2021). The annotations have changed since: today's download has
24,330 images (same place), which the note on a run then says.
"""

from dmg_tf.data.datasets.folder import published_spec
from dmg_tf.data.datasets.published import Published

SPEC = published_spec(
    Published(
        title="Terra Incognita",
        images={
            ("location_100", "L100"): 4_879,
            ("location_38", "L38"): 9_767,
            ("location_43", "L43"): 4_020,
            ("location_46", "L46"): 6_122,
        },
        classes=10,
    )
)
