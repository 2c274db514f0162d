"""A toy dataset: one flat folder, FLAT/<domain>-<class>-<number>.png."""

import pathlib

from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec
from dmg_tf.data.domains import pick_domains
from dmg_tf.data.examples import DomainData, Examples


def _files(root):
    return sorted(pathlib.Path(root).glob("*-*-*.png"))


def domains(root):
    return tuple(sorted({path.name.split("-")[0] for path in _files(root)}))


def load(root, target, sources=None, seed=0):
    """Every fourth image of a source selects the epoch."""
    del seed
    files = _files(root)
    classes = tuple(sorted({path.name.split("-")[1] for path in files}))
    sources = pick_domains(domains(root), target, sources, str(root))

    def examples(domain, domain_id, keep):
        own = [p for p in files if p.name.startswith(f"{domain}-")]
        own = [path for i, path in enumerate(own) if keep(i)]
        labels = [classes.index(path.name.split("-")[1]) for path in own]
        return Examples.make(map(str, own), labels, domain_id)

    def joined(keep):
        return Examples.concatenate(
            [examples(name, i, keep) for i, name in enumerate(sources)]
        )

    return DomainData(
        classes,
        sources,
        target,
        joined(lambda i: i % 4),
        joined(lambda i: i % 4 == 0),
        None,
        examples(target, -1, lambda i: True),
    )


SPEC = DatasetSpec(
    title="Flat",
    load=load,
    domains=domains,
    recognises=lambda root: bool(_files(root)),
    presets={**PAPER_PRESETS, "epochs": 2, "image_size": 32, "batch_size": 8},
    weights="none",
    splits_in_words="every fourth image selects the epoch",
)
