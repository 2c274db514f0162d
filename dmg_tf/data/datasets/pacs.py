"""PACS with its official lists (Sec. 4.1)."""

import pathlib
from collections.abc import Sequence

from dmg_tf.data.datasets.list_reader import ListReader
from dmg_tf.data.datasets.published import PublishedFile
from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec, ListLayout
from dmg_tf.data.domains import as_known, pick_domains
from dmg_tf.data.examples import DomainData, Examples, checked
from dmg_tf.data.names import nfc


def _list_path(root: pathlib.Path, domain: str, split: str) -> pathlib.Path:
    return root / "splits" / f"{domain}_{split}_kfold.txt"


LAYOUT = ListLayout(
    path=_list_path,
    words=("train", "crossval", "test"),
    first_label=1,
    needs_validation=True,
    test_is_all=True,
)


def load(
    root: str | pathlib.Path,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads PACS with its official splits (Sec. 4.1).

    `DIR/splits/<domain>_{train,crossval,test}_kfold.txt`: sources learn from
    `train` and select on `crossval`; the target is scored on `test`, which is
    all of its images. PACS has no in-domain test split.

    Args:
        root: The folder.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Not used: the splits are given.

    Raises:
        UserError: If a list is missing or wrong; see `ListReader`.
    """
    del seed
    root = pathlib.Path(root)
    target = target and as_known(target, LAYOUT.domains(root))
    sources = pick_domains(
        LAYOUT.domains(root), target, sources, str(root / "splits")
    )

    def path_of(domain, split):
        return _list_path(root, domain, split)

    scored = [path_of(target, "test")] if target else []
    reader = ListReader(root, LAYOUT.first_label)
    lists = reader.read_all(
        [path_of(d, s) for d in sources for s in ("train", "crossval")] + scored
    )
    outside = lists[scored[0]] if scored else []
    domain_of = LAYOUT.domain_of_lists(root)
    reader.check_apart(lists, domain_of, target)
    left_out = reader.unlisted(
        {path: lists[path] for path in lists if domain_of[path] != target}
    )

    def joined(split):
        return Examples.concatenate(
            [
                reader.examples(lists[path_of(domain, split)], index)
                for index, domain in enumerate(sources)
            ]
        )

    data = DomainData(
        reader.class_names,
        tuple(map(nfc, sources)),
        target and nfc(target),
        joined("train"),
        joined("crossval"),
        None,
        reader.examples(outside, -1),
        left_out.note(),
    )
    return checked(data, apart=True)


# The copy that has the official lists beside the images.
FILES = (
    PublishedFile(
        name="pacs.zip",
        page="https://drive.google.com/uc?id=1m4X4fROCCXMO0lRLrr6Zz9Vb3974NWhE",
        checksum="sha256:"
        "0dc9d0176fa27c9b4504e7c2e962aebe6a79ed0c1819b84148786e590f87e102",
        folders={
            "pacs/images/art_painting": "art_painting",
            "pacs/images/cartoon": "cartoon",
            "pacs/images/photo": "photo",
            "pacs/images/sketch": "sketch",
            "pacs/splits": "splits",
        },
    ),
)

SPEC = DatasetSpec(
    title="PACS",
    load=load,
    domains=LAYOUT.domains,
    recognises=LAYOUT.recognises,
    presets=PAPER_PRESETS,
    layout=LAYOUT,
    splits_in_words=(
        "As a source a domain is learned from by train and selects the epoch "
        "by validation (crossval);\nas the target it is scored on test, which "
        "is all of it."
    ),
    files=FILES,
)
