"""What can be wrong with folders and lists, how bad it is, what to do."""

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
STRUCTURE_KINDS: dict[str, Kind] = {
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
    "few_domains": Kind(
        ERROR,
        "fewer than three domains",
        "two source domains and a target are needed; if the domains lie one "
        "folder further down, give that folder",
        counted=False,
    ),
    "empty_domain": Kind(
        ERROR,
        "domains without images",
        "put images in DIR/<domain>/<class>/<image>, or move the folder out "
        "if it is no domain",
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
    "split_overlap": Kind(
        ERROR,
        "images in two splits of their domain",
        "remove each from one of its lists",
    ),
}
