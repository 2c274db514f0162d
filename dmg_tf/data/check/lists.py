"""Datasets with lists of their splits: everything that is wrong with them."""

import collections
import os
import pathlib

import numpy as np

from dmg_tf.data.check.folder import Inventory, report_same_files, walk_all
from dmg_tf.data.check.problems import Problems
from dmg_tf.data.datasets.folder import validation_count
from dmg_tf.data.datasets.list_reader import (
    ListReader,
    class_folder,
    wrong_label_text,
)
from dmg_tf.data.datasets.spec import SPLITS, VALIDATION, ListLayout
from dmg_tf.data.datasets.walk import is_image
from dmg_tf.data.same_files import strangers


def scan_lists(
    root: pathlib.Path, layout: ListLayout, problems: Problems
) -> Inventory:
    """Reads all lists of a dataset to their end.

    Args:
        root: The folder that holds the lists and the images.
        layout: Where the lists are.
        problems: Where to report what is wrong.

    Returns:
        The images that a list names and that are there.
    """
    domains = layout.listed_domains(root)
    if not domains:
        path = layout.path(root, "<domain>", layout.words[0])
        problems.add("missing_list", _short(f"there is no {path}", root))
        return Inventory()
    reader = ListReader(root, layout.first_label)
    listed, missing = {}, set()
    for domain in domains:
        for split, word in zip(SPLITS, layout.words, strict=True):
            path = layout.path(root, domain, word)
            if not path.exists():
                if split != VALIDATION or layout.needs_validation:
                    problems.add("missing_list", _short(str(path), root))
                continue
            entries = listed[domain, split] = []
            for entry, problem in reader.scan(path):
                if problem:
                    problems.add(problem.kind, _short(problem.message, root))
                if problem and entry:
                    missing.add(entry[0])
                if entry:
                    entries.append(entry)
    paths = {
        layout.path(root, domain, layout.words[SPLITS.index(split)]): entries
        for (domain, split), entries in listed.items()
    }
    # Missing files count as well, or a class may be gone and labels be off.
    _report_labels(reader, paths, root, problems)
    inventory = _index(reader, domains, listed, missing, problems)
    _report_splits(inventory, layout, listed, problems)
    # `_index` has told those of other domains.
    report_same_files(root, inventory, problems, homes={})
    for path in layout.strays(root):
        problems.add("no_list", _short(str(path), root))
    known = {name for entries in listed.values() for name, _, _ in entries}
    for name in walk_all(root, problems):
        if is_image(name) and name not in known:
            problems.add("unlisted", name)
    return inventory


def _report_labels(reader, lists, root, problems) -> None:
    """Reports wrong labels: a whole list's at once, or one by one."""
    wrong = collections.defaultdict(list)
    for path, name, label, expected in reader.wrong_labels(lists):
        wrong[path].append((name, label, expected))
    for path, labels in wrong.items():
        shifts = {label - expected for _, label, expected in labels}
        of_class = collections.defaultdict(set)
        for name, label, _ in lists[path]:
            of_class[class_folder(name)].add(label)
        numbers = [number for given in of_class.values() for number in given]
        # One label a class and one class a label: a numbering of its own.
        consistent = len(numbers) == len(set(numbers)) == len(of_class)
        where = _short(str(path), root)
        name, label, expected = labels[0]
        if len(labels) == len(lists[path]) and shifts in ({1}, {-1}):
            first = reader.first_label
            problems.add(
                "label_base",
                f"{where}: labels from {first + shifts.pop()}, expected from "
                f"{first}",
            )
        elif consistent and len({class_folder(n) for n, _, _ in labels}) > 1:
            problems.add(
                "label_order",
                f"{where}: {class_folder(name)!r} has {label}, expected "
                f"{expected}",
            )
        else:
            for name, label, expected in labels:
                text = wrong_label_text(path, name, label, expected)
                problems.add("wrong_label", _short(text, root))


def _index(reader, domains, listed, missing, problems) -> Inventory:
    """Gives every image a position, one domain and the splits that name it."""
    class_names = reader.class_names
    everything = [
        (domain, entry)
        for (domain, _), entries in listed.items()
        for entry in entries
    ]
    homes = reader.homes(
        [domain for domain, _ in everything],
        reader.find(entry for _, entry in everything),
        domains,
    )
    positions, domain_ids, labels, roles = {}, [], [], []
    label_of = {name: label for label, name in enumerate(class_names)}
    for (domain, split), entries in listed.items():
        domain_id, bit = domains.index(domain), 1 << SPLITS.index(split)
        found = reader.find(entries)
        strange = set(strangers(found, [domain] * len(entries), homes))
        for number, (name, _, _) in enumerate(entries):
            position = positions.get(name)
            if number in strange or (
                position is not None and domain_ids[position] != domain_id
            ):
                problems.add("other_domain", f"{name} in {split} of {domain}")
            elif position is not None:
                roles[position] |= bit
            elif name not in missing:
                positions[name] = len(domain_ids)
                domain_ids.append(domain_id)
                labels.append(label_of[class_folder(name)])
                roles.append(bit)
    return Inventory(
        domains,
        class_names,
        SPLITS,
        list(positions),
        np.asarray(domain_ids, np.int32),
        np.asarray(labels, np.int32),
        np.asarray(roles, np.int32),
    )


def _report_splits(inventory, layout, listed, problems) -> None:
    """Reports overlaps, counts by split, and settles each image's role."""
    names, bits = inventory.names, inventory.roles
    train, validation, test = ((bits >> i & 1).astype(bool) for i in range(3))

    def report(kind, where, what):
        for i in np.flatnonzero(where):
            domain = inventory.domains[inventory.domain_ids[i]]
            problems.add(kind, f"{names[i]} in {what} of {domain}")

    if layout.test_is_all:
        report("split_overlap", train & validation, "train and crossval")
        # A list that is lost as a whole is reported as that.
        given = np.asarray(
            [
                [bool(listed.get((domain, split))) for split in SPLITS]
                for domain in inventory.domains
            ]
        )[inventory.domain_ids]
        lacks = ~test & given[:, 2]
        report("test_lacks", lacks, "train or crossval")
        alone = ~train & ~validation & given[:, 0] & given[:, 1]
        report("never_learned", alone, "test alone")
    else:
        report("split_overlap", train & test, "train and test")
        report("split_overlap", validation & test, "val and test")
        report("validation_in_train", train & validation, "train and val")
        # As the loader does.
        train &= ~validation
    shape = (len(inventory.domains), len(inventory.class_names), len(SPLITS))
    inventory.counts = np.zeros(shape, np.int64)
    for index, used in enumerate((train, validation, test)):
        where = (inventory.domain_ids[used], inventory.labels[used], index)
        np.add.at(inventory.counts, where, 1)
    for domain_id, domain in enumerate(inventory.domains):
        if (domain, VALIDATION) not in listed and not layout.needs_validation:
            counts = inventory.counts[domain_id]
            counts[:, 1] = [validation_count(int(n)) for n in counts[:, 0]]
            counts[:, 0] -= counts[:, 1]
    held_out = np.where(validation, 1, np.where(train, 0, 2))
    inventory.roles = np.where(test & ~layout.test_is_all, 2, held_out)


def _short(text: str, root: pathlib.Path) -> str:
    return text.replace(os.fspath(root) + os.sep, "")
