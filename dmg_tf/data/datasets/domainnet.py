"""DomainNet with its official lists (Sec. 4.1)."""

import pathlib
from collections.abc import Sequence

from dmg_tf.data.datasets.folder import split_by_seed
from dmg_tf.data.datasets.list_reader import ListReader
from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec, ListLayout
from dmg_tf.data.domains import as_known, pick_domains
from dmg_tf.data.examples import DomainData, Examples, checked
from dmg_tf.data.names import nfc


def _list_path(root: pathlib.Path, domain: str, split: str) -> pathlib.Path:
    return root / f"{domain}_{split}.txt"


LAYOUT = ListLayout(
    path=_list_path,
    words=("train", "val", "test"),
    first_label=0,
    needs_validation=False,
    test_is_all=False,
)


def load(
    root: str | pathlib.Path,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads DomainNet with its official splits (Sec. 4.1).

    `DIR/<domain>_{train,test}.txt`, labels from 0. Each source's training list
    is split 90/10 by class into training and validation, unless
    `DIR/<domain>_val.txt` names the validation images; sources are scored on
    their test lists, and so is the target.

    Args:
        root: The folder.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Seed of the 90/10 split.

    Raises:
        UserError: If a list is missing or wrong; see `ListReader`.
    """
    root = pathlib.Path(root)
    target = target and as_known(target, LAYOUT.domains(root))
    sources = pick_domains(LAYOUT.domains(root), target, sources, str(root))

    def path_of(domain, split):
        return _list_path(root, domain, split)

    scored = [path_of(target, "test")] if target else []
    given = [d for d in sources if path_of(d, "val").exists()]
    reader = ListReader(root, LAYOUT.first_label)
    lists = reader.read_all(
        [path_of(d, s) for d in sources for s in ("train", "test")]
        + [path_of(d, "val") for d in given]
        + scored
    )
    outside = lists[scored[0]] if scored else []
    domain_of = LAYOUT.domain_of_lists(root)
    # Lists in circulation give validation images in `train` too.
    shared = {
        frozenset((path_of(d, "train"), path_of(d, "val"))) for d in given
    }
    reader.check_apart(lists, domain_of, target, shared)
    left_out = reader.unlisted(
        {path: lists[path] for path in lists if domain_of[path] != target}
    )
    train, validation, test = [], [], []
    for index, domain in enumerate(sources):
        entries = lists[path_of(domain, "train")]
        if domain in given:
            held_out = lists[path_of(domain, "val")]
            entries = reader.without(entries, held_out)
        else:
            entries, held_out = _split_by_class(entries, seed)
        train.append(reader.examples(entries, index))
        validation.append(reader.examples(held_out, index))
        test.append(reader.examples(lists[path_of(domain, "test")], index))
    data = DomainData(
        reader.class_names,
        tuple(map(nfc, sources)),
        target and nfc(target),
        Examples.concatenate(train),
        Examples.concatenate(validation),
        Examples.concatenate(test),
        reader.examples(outside, -1),
        left_out.note(),
    )
    return checked(data, apart=True)


def _split_by_class(entries, seed):
    by_label = {}
    for entry in entries:
        by_label.setdefault(entry[1], []).append(entry)
    train, validation = [], []
    for label in sorted(by_label):
        of_class = by_label[label]
        keep, hold = split_by_seed([nfc(name) for name, _, _ in of_class], seed)
        train += [of_class[i] for i in keep]
        validation += [of_class[i] for i in hold]
    return train, validation


SPEC = DatasetSpec(
    title="DomainNet",
    load=load,
    domains=LAYOUT.domains,
    recognises=LAYOUT.recognises,
    presets={
        **PAPER_PRESETS,
        "weight_decay": 0.0,
        "schedule": "inverse",
        "classifier_init": "normal",
    },
    augment="resize_and_crop",
    layout=LAYOUT,
    splits_in_words=(
        "Validation is 10 % of the training list where there is no list of "
        "it. The target is scored on test."
    ),
)
