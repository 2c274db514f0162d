"""DomainNet with its official lists (Sec. 4.1)."""

import pathlib
from collections.abc import Sequence

from dmg_tf.data.datasets.folder import split_by_seed
from dmg_tf.data.datasets.list_reader import ListReader
from dmg_tf.data.datasets.published import PublishedFile
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


# Where it is, bytes, MD5. The lists are small, and tell first whether the
# server answers; they are those of the cleaned version.
_FILES = """\
domainnet/txt/clipart_test.txt 628917 f5ddbcfd657a3acf9d0f7da10db22565
domainnet/txt/clipart_train.txt 1443819 b4349693a7f9c05c53955725c47ed6cb
domainnet/txt/infograph_test.txt 728028 779626b50869edffe8ea6941c3755c71
domainnet/txt/infograph_train.txt 1683098 379b50054f4ac2018dca4f89421b92d9
domainnet/txt/painting_test.txt 971888 232b35dc53f26d414686ae579e38d9b5
domainnet/txt/painting_train.txt 2241901 7db0e7ca73ad9982f6e1f7f3ef372c0a
domainnet/txt/quickdraw_test.txt 2213400 c1a828fdfe216fb109f1c0083a252c6f
domainnet/txt/quickdraw_train.txt 5164600 b732ced3939ac8efdd8c0a889dca56cc
domainnet/txt/real_test.txt 1911327 6098816791c3ebed543c71ffa11b9054
domainnet/txt/real_train.txt 4440944 8ebf02c2075fadd564705f0dc7cd6291
domainnet/txt/sketch_test.txt 850581 d8a222e4672cfd585298aa14d02ea441
domainnet/txt/sketch_train.txt 1960222 1233bd18aa9a8a200bf4cecf1c34ef3e
groundtruth/clipart.zip 1270909081 cd0d8f2d77a4e181449b78ed62bccf1e
infograph.zip 4338659804 720380b86f9e6ab4805bb38b6bd135f8
groundtruth/painting.zip 3679366174 1ae32cdb4f98fe7ab5eb0a351768abfd
quickdraw.zip 459920701 bdc1b6f09f277da1a263389efe0c7a66
real.zip 6062039589 dcc47055e8935767784b7162e7c7cca6
sketch.zip 2633992926 658d8009644040ff7ce30bb2e820850f
"""


def _published(line: str) -> PublishedFile:
    place, size, md5 = line.split()
    name = place.rpartition("/")[2]
    domain, _, kind = name.partition(".")
    return PublishedFile(
        name=name,
        page="https://ai.bu.edu/M3SDA/",
        url=f"http://csr.bu.edu/ftp/visda/2019/multi-source/{place}",
        size=int(size),
        checksum=f"md5:{md5}",
        folders={domain: domain} if kind == "zip" else {},
    )


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
    files=tuple(map(_published, _FILES.splitlines())),
)
