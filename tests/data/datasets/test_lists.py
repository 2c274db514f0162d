import pytest

from dmg_tf.data.datasets.domainnet import load as load_domainnet
from dmg_tf.data.datasets.pacs import load as load_pacs
from dmg_tf.errors import UserError
from tests.conftest import write_images

DOMAINS, CLASSES = ("art", "photo", "sketch"), ("cat", "dog")


def lines(domain, indices, first_label):
    return [
        f"{domain}/{name}/{i}.png {label + first_label}"
        for label, name in enumerate(CLASSES)
        for i in indices
    ]


@pytest.fixture
def pacs_like(tmp_path):
    root = write_images(tmp_path / "data", DOMAINS, CLASSES, 10, size=8)
    (root / "splits").mkdir()
    for domain in DOMAINS:
        for split, indices in (
            ("train", range(8)),
            ("crossval", range(8, 10)),
            ("test", range(10)),
        ):
            write(root, domain, split, lines(domain, indices, 1))
    return root


def write(root, domain, split, entries):
    path = root / "splits" / f"{domain}_{split}_kfold.txt"
    path.write_text("\n".join(entries) + "\n")


def test_pacs_splits(pacs_like):
    data = load_pacs(pacs_like, "sketch")
    assert data.counts() == {
        "train": {"art": 16, "photo": 16},
        "validation": {"art": 4, "photo": 4},
        "out_of_domain": {"sketch": 20},
    }
    assert data.class_names == CLASSES and set(data.train.labels) == {0, 1}


def change(root, line, split="train"):
    entries = lines("art", range(8), 1)
    entries[2] = line
    write(root, "art", split, entries)


@pytest.mark.parametrize(
    "line,match",
    [
        (
            "art/cat/77.png 1",
            r"art_train_kfold.txt, line 3: there is no file .*77",
        ),
        ("art/cat/2.png 2", r"art/cat/2.png has the label 2, .*'cat' has 1"),
        ("art/cat/1.png 1", r"line 3: art/cat/1.png is in this list already"),
        (
            "art/cat/9.png 1",
            r"art/cat/9.png is in .*art_train.* and in art_cross",
        ),
        (
            "art/cat/2.png",
            r"line 3: expected '<domain>/<class>/<image> <label>'",
        ),
        ("art/cat/2.png one", "line 3: expected"),
        ("2.png 1", "line 3: expected"),
    ],
)
def test_damaged_lists(pacs_like, line, match):
    change(pacs_like, line)
    with pytest.raises(UserError, match=match):
        load_pacs(pacs_like, "sketch")


def test_missing_and_empty_lists(pacs_like):
    write(pacs_like, "art", "train", [])
    with pytest.raises(UserError, match="names no image"):
        load_pacs(pacs_like, "sketch")
    (pacs_like / "splits" / "art_train_kfold.txt").unlink()
    write(pacs_like, "art", "train", lines("art", range(8), 1))
    (pacs_like / "splits" / "art_crossval_kfold.txt").unlink()
    with pytest.raises(UserError, match="cannot read the list"):
        load_pacs(pacs_like, "photo", ["sketch", "art"])
    with pytest.raises(UserError, match="there are no lists"):
        load_pacs(pacs_like / "art", "photo")


@pytest.fixture
def domainnet_like(tmp_path):
    root = write_images(tmp_path / "data", DOMAINS, CLASSES, 30, size=8)
    for domain in DOMAINS:
        for split, indices in (("train", range(20)), ("test", range(20, 30))):
            text = "\n".join(lines(domain, indices, 0))
            (root / f"{domain}_{split}.txt").write_text(text)
    return root


def test_domainnet_splits(domainnet_like):
    data = load_domainnet(domainnet_like, "photo", seed=3)
    assert data.counts() == {
        "train": {"art": 36, "sketch": 36},
        "validation": {"art": 4, "sketch": 4},
        "test": {"art": 20, "sketch": 20},
        "out_of_domain": {"photo": 20},
    }
    assert data.in_domain_split == "test"
    again = load_domainnet(domainnet_like, "photo", seed=3)
    assert data.validation.paths == again.validation.paths


def test_domainnet_takes_given_validation_lists(domainnet_like):
    (domainnet_like / "art_val.txt").write_text("art/cat/3.png 0\n")
    data = load_domainnet(domainnet_like, "photo")
    assert data.counts()["validation"] == {"art": 1, "sketch": 4}
    assert data.counts()["train"] == {"art": 39, "sketch": 36}


def rewrite(root, change):
    for path in root.glob("*.txt"):
        changed = (change(line) for line in path.read_text().splitlines())
        path.write_text("\n".join(line for line in changed if line))


def test_labels_number_the_classes_in_their_own_order(tmp_path):
    """DomainNet's order is not the alphabet's: capitals, and 't-shirt'."""
    names = ("trumpet", "t-shirt", "The_Mona_Lisa")
    root = write_images(tmp_path, ("a", "b", "c"), names, 4, size=8)
    for domain in "abc":
        for split, indices in (("train", (0, 1, 2)), ("test", (3,))):
            text = [
                f"{domain}/{name}/{i}.png {label}"
                for label, name in enumerate(names)
                for i in indices
            ]
            (root / f"{domain}_{split}.txt").write_text("\n".join(text))
    data = load_domainnet(root, "c")
    assert data.class_names == names
    for path, label in zip(data.train.paths, data.train.labels, strict=True):
        assert f"/{names[label]}/" in path


def test_a_class_that_no_list_has_leaves_no_gap(domainnet_like):
    rewrite(
        domainnet_like,
        lambda line: line.replace(" 1", " 7") if "/dog/" in line else line,
    )
    data = load_domainnet(domainnet_like, "photo")
    assert data.class_names == CLASSES and set(data.train.labels) == {0, 1}


def test_lists_that_contradict_each_other(domainnet_like):
    path = domainnet_like / "art_train.txt"
    path.write_text(path.read_text().replace(" 1", " 0"))
    with pytest.raises(UserError, match="has the label 0, but class 'dog' has"):
        load_domainnet(domainnet_like, "photo")


def test_a_source_may_lack_a_class(domainnet_like):
    """As painting does in the lists that DomainNet's authors publish."""
    path = domainnet_like / "art_train.txt"
    kept = [x for x in path.read_text().splitlines() if "/dog/" not in x]
    path.write_text("\n".join(kept))
    data = load_domainnet(domainnet_like, "photo")
    assert data.counts()["train"] == {"art": 18, "sketch": 36}
    assert data.notes == (
        "left out: 20 images in no list ('art/dog/0.png'); dmg-tf "
        "check names them all",
        "art has no image of 'dog' to learn from; other sources teach it",
    )
    # Images that can't be read may be left out of such data too.
    assert len(data.without(data.train.paths[:1]).train) == 53


def test_a_class_that_no_source_learns(domainnet_like):
    for domain in ("art", "sketch"):
        path = domainnet_like / f"{domain}_train.txt"
        kept = [x for x in path.read_text().splitlines() if "/dog/" not in x]
        path.write_text("\n".join(kept))
    with pytest.raises(UserError, match="no source domain has .* 'dog'"):
        load_domainnet(domainnet_like, "photo")


@pytest.mark.data
@pytest.mark.parametrize(
    "target,counts",
    [
        ("sketch", (5446, 616, 3929)),
        ("photo", (7478, 843, 1670)),
        ("cartoon", (6870, 777, 2344)),
        ("art_painting", (7137, 806, 2048)),
    ],
)
def test_real_pacs(pacs, target, counts):
    data = load_pacs(pacs, target)
    found = (len(data.train), len(data.validation), len(data.out_of_domain))
    assert found == counts
