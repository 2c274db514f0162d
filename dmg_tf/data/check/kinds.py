"""What can be wrong with a dataset, how bad it is, and what to do."""

import dataclasses

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
SUFFIXES = ".jpg, .jpeg, .png, .bmp, .gif, .webp, .tif, .tiff"


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of problem.

    Attributes:
        severity: "error" where training stops or its numbers would be wrong,
            "warning" where results may suffer, "note" for what is worth
            knowing.
        title: What the counted things are.
        advice: What to do about them.
        counted: Whether there can be more than one.
    """

    severity: str
    title: str
    advice: str
    counted: bool = True


# Worst first, and of equal severity in the order in which to mend them.
KINDS: dict[str, Kind] = {
    # === Structure ===
    "unreadable_folder": Kind(
        ERROR,
        "folders that cannot be read",
        "change their permissions, or remove them",
    ),
    "no_images": Kind(
        ERROR,
        "no images",
        "put images in DIR/<domain>/<class>/<image>, with one of the suffixes "
        f"{SUFFIXES}",
        counted=False,
    ),
    "split_folders": Kind(
        ERROR,
        "domains that hold splits where classes belong",
        "call them train, val and test, with class folders in each, in every "
        "domain; or move the class folders up into DIR/<domain>/",
    ),
    "split_domains": Kind(
        ERROR,
        "splits where domains belong",
        "put images in DIR/<domain>/<class>/<image>; if these are domains, "
        "train with --sources",
        counted=False,
    ),
    "bad_name": Kind(
        ERROR,
        "names that cannot be",
        "rename the folders: results, columns and paths are called by them",
    ),
    "one_class": Kind(
        ERROR,
        "a single class",
        "give each domain two or more class folders",
        counted=False,
    ),
    # === Lists ===
    "missing_list": Kind(
        ERROR,
        "missing lists",
        "copy them from the dataset's authors; or pass --dataset folder to "
        "train on folders without lists",
    ),
    "unreadable_list": Kind(
        ERROR, "lists that cannot be read", "lists must be text in UTF-8"
    ),
    "empty_list": Kind(
        ERROR, "lists that name no image", "copy them from a complete source"
    ),
    "bad_line": Kind(
        ERROR,
        "malformed lines in lists",
        "write each line as '<domain>/<class>/<image> <label>'",
    ),
    "no_file": Kind(
        ERROR,
        "list entries without a file",
        "copy the images there, or remove the lines; if all are missing, give "
        "the folder that the paths in the lists start from",
    ),
    "listed_twice": Kind(
        ERROR,
        "images that a list names more than once",
        "remove the second line; see whether another image is missing instead",
    ),
    "label_base": Kind(
        ERROR,
        "lists whose labels start at the wrong number",
        "renumber the labels, or copy the lists from the dataset's authors",
    ),
    "label_order": Kind(
        ERROR,
        "lists whose labels follow another order of the classes",
        "number the class folders as the other lists do",
    ),
    "wrong_label": Kind(
        ERROR,
        "labels that contradict the class folder",
        "correct the label in the list, or move the image",
    ),
    "other_domain": Kind(
        ERROR,
        "list entries that belong to another domain",
        "remove the lines: the target domain would be trained on",
    ),
    "same_file": Kind(
        ERROR,
        "images that are there by several paths",
        "remove all but one path: an image twice is learned from and scored on",
    ),
    "split_overlap": Kind(
        ERROR,
        "images in two splits of their domain",
        "remove each from one of its lists",
    ),
    # === Classes and images ===
    "missing_class": Kind(
        ERROR,
        "classes that a domain spells differently, or none teaches",
        "call a class the same in every domain; add training images, or remove "
        "the class from all domains",
    ),
    "unreadable": Kind(
        ERROR,
        "unreadable images",
        "mend or remove them; training stops at the first one, unless "
        "--on-bad-image skip leaves them out",
    ),
    "label_conflict": Kind(
        ERROR,
        "sets of identical files with different classes",
        "keep the copy with the right class, remove the others",
    ),
    "empty_domain": Kind(
        WARNING,
        "folders beside the domains without an image in a class folder",
        "they are no domains: put images in DIR/<domain>/<class>/<image>, or "
        "move the folder out",
    ),
    "case_twins": Kind(
        WARNING,
        "names that differ in upper case alone",
        "rename one: macOS and Windows hold such folders for one",
    ),
    "no_list": Kind(
        WARNING,
        "text files called as lists that are none",
        "they are not used; name a list after the folder of its domain",
    ),
    "link_above": Kind(
        WARNING,
        "links to a folder above themselves",
        "they are not followed; remove them",
    ),
    "special": Kind(
        WARNING, "pipes, sockets and devices", "they are not used; remove them"
    ),
    "few_domains": Kind(
        WARNING,
        "fewer than three domains",
        "two source domains and a target tell how a model does on a domain "
        "that it has not seen; if the domains lie one folder further down, "
        "give that folder",
        counted=False,
    ),
    "missing_in_train": Kind(
        WARNING,
        "classes that a domain has no training image of",
        "as a source it teaches nothing of them, the other sources do; what "
        "the target alone has is left out",
    ),
    "other_counts": Kind(
        WARNING,
        "numbers that are not those of the published dataset",
        "see whether files are missing: results on other images do not compare "
        "with published ones",
    ),
    "copies_across_domains": Kind(
        WARNING,
        "sets of identical files in several domains",
        "keep one of each: with one of these domains as target, training sees "
        "images that it is scored on",
    ),
    "copies_across_splits": Kind(
        WARNING,
        "sets of identical files in several splits of a domain",
        "keep one of each: in-domain accuracy is measured on images that were "
        "learned from",
    ),
    "test_lacks": Kind(
        WARNING,
        "images of train or crossval that the test list lacks",
        "add them: the target is scored on the test list, which should be the "
        "whole domain",
    ),
    "never_learned": Kind(
        WARNING,
        "images of the test list in neither train nor crossval",
        "add each to one of the two, or a source domain goes without it",
    ),
    "missing_in_test": Kind(
        WARNING,
        "classes that a domain's test list lacks",
        "accuracy on the domain says nothing of them",
    ),
    "misplaced": Kind(
        WARNING,
        "images outside of DIR/<domain>/<class>/, which are not used",
        "move them into a class folder, or out of DIR",
    ),
    "other_suffix": Kind(
        WARNING,
        "images left out because of their suffix",
        f"training reads {SUFFIXES}: rename or convert them",
    ),
    "single_image": Kind(
        WARNING,
        "classes with a single image in a domain",
        "add some: one image is learned from, and none is left to select the "
        "epoch by",
    ),
    "dark": Kind(
        WARNING,
        "images of 16 bits that use less than a sixteenth of them",
        "they become almost black; store them so that white is 65535",
    ),
    "small": Kind(
        WARNING,
        "images with a side below 32 px",
        "they are enlarged; look at some, they may be thumbnails or icons",
    ),
    "narrow": Kind(
        WARNING,
        "images more than four times as long as wide",
        "training squeezes them to a square; crop them, or look whether they "
        "belong",
    ),
    # === Worth knowing ===
    "missing_in_validation": Kind(
        NOTE,
        "classes that a domain's validation list lacks",
        "the epoch is selected without them",
    ),
    "empty_class": Kind(
        NOTE,
        "class folders without images",
        "they are no classes of their domain",
    ),
    "again": Kind(
        NOTE,
        "splits that have images of the others once more",
        "they are not used, and were not opened",
    ),
    "validation_in_train": Kind(
        NOTE,
        "images in the training and the validation list",
        "they are taken out of training",
    ),
    "copies": Kind(
        NOTE,
        "sets of identical files in one class of a domain",
        "keep one of each; where the split is drawn by seed, copies may "
        "be both learned from and validated on",
    ),
    "unlisted": Kind(
        NOTE, "images in no list", "they are not used, and were not opened"
    ),
    "wrong_suffix": Kind(
        NOTE,
        "images in another format than their suffix says",
        "training goes by the content; other programs may not",
    ),
    "large": Kind(
        NOTE,
        "images with a side above 4096 px",
        "make them smaller once: decoding them takes most of each epoch",
    ),
    "rotated": Kind(
        NOTE,
        "images that an EXIF entry turns or mirrors",
        "they are turned upright wherever this package decodes them",
    ),
    "frames": Kind(
        NOTE, "images with several frames or pages", "the first is used"
    ),
    "deep": Kind(
        NOTE, "images of 16 or more bits", "they become 8 bits a channel"
    ),
    "profile": Kind(
        NOTE,
        "images with a colour profile other than sRGB",
        "it is not applied: colours are taken as if they were sRGB; convert "
        "them where domains differ in it",
    ),
    "cmyk": Kind(NOTE, "CMYK images", "they become RGB, without a profile"),
    "alpha": Kind(
        NOTE,
        "images with transparency",
        "it is dropped: transparent parts show the colour stored below",
    ),
    "palette": Kind(NOTE, "palette images", "they become RGB"),
    "grey": Kind(NOTE, "grey images", "they become RGB, with equal channels"),
    "not_images": Kind(NOTE, "files that are no images", "they are not used"),
    "hidden": Kind(NOTE, "hidden files and folders", "they are not used"),
}
