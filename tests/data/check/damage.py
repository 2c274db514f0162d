"""Imitations of the damage that datasets suffer, one function each."""

import os
import shutil
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

DOMAINS, CLASSES = ("art", "photo", "sketch"), ("cat", "dog")


def write_list(path, domain, indices, first_label):
    lines = [
        f"{domain}/{name}/{i}.png {label + first_label}\n"
        for label, name in enumerate(CLASSES)
        for i in indices
    ]
    path.write_text("".join(lines))


def save(path, mode="RGB", size=(64, 64), kind=None, **options):
    """Saves an image of random pixels, different ones for each path."""
    seed = [ord(letter) for letter in str(path)]
    noise = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3))
    image = PIL.Image.fromarray(noise.astype(np.uint8)).convert(mode)
    image.save(path, format=kind, **options)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# === Folders and files ===


def remove_class(root):
    shutil.rmtree(root / "art" / "dog")


def rename_class(root):
    (root / "art" / "dog").rename(root / "art" / "Dog")


def empty_domain(root):
    (root / "notes").mkdir()


def drop_domain(root):
    shutil.rmtree(root / "art")


def drop_classes(root):
    for domain in DOMAINS:
        shutil.rmtree(root / domain / "dog")


def drop_images(root):
    for path in root.rglob("*.png"):
        path.unlink()


def leave_one_image(root):
    for i in range(1, 10):
        (root / "photo" / "cat" / f"{i}.png").unlink()


def misplace(root):
    shutil.move(root / "art" / "cat" / "3.png", root / "art" / "3.png")


def drop_suffix(root):
    (root / "art" / "cat" / "3.png").rename(root / "art" / "cat" / "3")


def leave_heic(root):
    (root / "art" / "cat" / "IMG_1.HEIC").write_bytes(b"\0\0\0 ftypheic")


def leave_text(root):
    (root / "art" / "cat" / "notes.txt").write_text("a note")


def hide(root):
    (root / "art" / "cat" / ".DS_Store").write_text("")
    (root / "art" / "cat" / "._3.png").write_text("")
    (root / "__MACOSX" / "art").mkdir(parents=True)


def truncate(root):
    path = root / "art" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:-40])


def empty_file(root):
    for name in ("3.png", "4.png"):
        (root / "art" / "cat" / name).write_bytes(b"")


def dangle(root):
    (root / "art" / "cat" / "far.png").symlink_to("nowhere.png")


def copy_within_class(root):
    shutil.copy(root / "art/cat/3.png", root / "art/cat/copy.png")


def copy_across_domains(root):
    shutil.copy(root / "art/cat/3.png", root / "photo/cat/copy.png")


def copy_across_classes(root):
    shutil.copy(root / "art/cat/3.png", root / "photo/dog/copy.png")


def shrink(root):
    save(root / "art" / "cat" / "small.png", size=(31, 60))


def stretch(root):
    save(root / "art" / "cat" / "long.png", size=(201, 50))


def enlarge(root):
    save(root / "art" / "cat" / "large.png", size=(4097, 1100))


def turn(root):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    save(root / "art" / "cat" / "phone.jpg", exif=exif)


def lie(root):
    save(root / "art" / "cat" / "not.jpg", kind="PNG")


def grey(root):
    save(root / "art" / "cat" / "grey.png", "L")


def palette(root):
    save(root / "art" / "cat" / "palette.png", "P")


def cmyk(root):
    save(root / "art" / "cat" / "cmyk.jpg", "CMYK")


def alpha(root):
    save(root / "art" / "cat" / "alpha.png", "RGBA")


def deep_grey(root):
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 7
    PIL.Image.fromarray(pixels).save(root / "art" / "cat" / "deep.png")


def dark(root):
    """Twelve bits of a microscope, stored as the lower ones of sixteen."""
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    PIL.Image.fromarray(pixels).save(root / "art" / "cat" / "dark.tif")


def tag_profile(root):
    save(root / "art" / "cat" / "wide.png", icc_profile=b"Adobe RGB" * 20)


def deep_colour(root):
    """An RGB file of 16 bits, which Pillow reads and cannot write."""

    def chunk(name, body):
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    rows = b"".join(b"\0" + bytes(range(192)) * 2 for _ in range(64))
    (root / "art" / "cat" / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def animate(root):
    frames = [PIL.Image.new("RGB", (64, 64), c) for c in ("red", "blue")]
    frames[0].save(
        root / "art" / "cat" / "two.gif",
        save_all=True,
        append_images=frames[1:],
    )


def odd_name(root):
    name = os.fsdecode(b"caf\xe9 \xff[bold].png")
    try:
        shutil.copy(root / "art/cat/3.png", root / "art" / "cat" / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")


def link_up(root):
    (root / "art" / "cat" / "all").symlink_to("..")


def link_twice(root):
    (root / "art" / "cat" / "again.png").symlink_to("3.png")


def link_hard(root):
    os.link(root / "art" / "cat" / "3.png", root / "art" / "cat" / "again.png")


def link_to_another_domain(root):
    (root / "art" / "cat" / "far.png").symlink_to("../../photo/cat/3.png")


def leave_pipe(root):
    os.mkfifo(root / "art" / "cat" / "pipe.png")


def leave_note(root):
    (root / "splits" / "notes_train_kfold.txt").write_text("as last year")


def empty_class(root):
    (root / "art" / "owl").mkdir()


def nest_in_splits(root):
    for domain in DOMAINS:
        for split in ("train", "val"):
            (root / domain / split).mkdir()
        for name in CLASSES:
            shutil.copytree(root / domain / name, root / domain / "val" / name)
            shutil.move(root / domain / name, root / domain / "train" / name)


def nest_in_other_splits(root):
    nest_in_splits(root)
    for domain in DOMAINS:
        (root / domain / "train").rename(root / domain / "dev")


def nest_one_domain(root):
    (root / "art" / "train").mkdir()
    for name in CLASSES:
        shutil.move(root / "art" / name, root / "art" / "train" / name)


def leave_full_split(root):
    nest_one_domain(root)
    for domain in DOMAINS:
        for name in CLASSES if domain != "art" else ():
            moved = root / domain / "Train" / name
            moved.parent.mkdir(exist_ok=True)
            shutil.move(root / domain / name, moved)
        train = next((root / domain).iterdir())
        shutil.copytree(train, root / domain / "full")


def call_as_published(root):
    """Calls the domains as those of Office-Home."""
    for old, new in zip(
        DOMAINS, ("Clipart", "Product", "Real World"), strict=True
    ):
        (root / old).rename(root / new)
    for name in CLASSES:
        (root / "Art" / name).mkdir(parents=True)
        for i in range(10):
            save(root / "Art" / name / f"{i}.png")


def call_domains_splits(root):
    for old, new in zip(DOMAINS, ("train", "val", "test"), strict=True):
        (root / old).rename(root / new)


def call_domain_overall(root):
    (root / "art").rename(root / "overall")


def add_case_twin(root):
    for domain in DOMAINS:
        (root / domain / "Dog").mkdir()
        for i in range(10):
            save(root / domain / "Dog" / f"{i}.png")


# === Lists ===


def in_list(split, old, new, layout="pacs"):
    def damage(root):
        name = {
            "pacs": f"splits/art_{split}_kfold.txt",
            "domainnet": f"art_{split}.txt",
        }[layout]
        edit(root / name, old, new)

    return damage


def shift_labels(root):
    for split in ("train", "crossval", "test"):
        path = root / "splits" / f"art_{split}_kfold.txt"
        path.write_text(
            path.read_text().replace(" 1", " 0").replace(" 2", " 1")
        )


def shift_labels_up(root):
    for path in root.glob("*.txt"):
        path.write_text(
            path.read_text().replace(" 1", " 2").replace(" 0", " 1")
        )


def swap_labels(root):
    path = root / "splits" / "art_train_kfold.txt"
    text = path.read_text().replace(" 1", " x").replace(" 2", " 1")
    path.write_text(text.replace(" x", " 2"))


def drop_list(root):
    (root / "splits" / "art_crossval_kfold.txt").unlink()


def drop_test_list(root):
    (root / "art_test.txt").unlink()


def empty_list(root):
    (root / "splits" / "art_crossval_kfold.txt").write_text("\n")


def binary_list(root):
    (root / "splits" / "art_crossval_kfold.txt").write_bytes(b"\xff\xfe\0")


def remove_listed(root):
    (root / "art" / "cat" / "3.png").unlink()


def list_validation(root):
    (root / "art_val.txt").write_text("art/cat/3.png 0\nart/dog/3.png 1\n")


def list_validation_of_test(root):
    (root / "art_val.txt").write_text("art/cat/8.png 0\nart/dog/3.png 1\n")


def list_validation_of_one_class(root):
    (root / "art_val.txt").write_text("art/cat/3.png 0\n")


def lose_class_in(split):
    def damage(root):
        path = root / f"art_{split}.txt"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(x for x in lines if "/dog/" not in x))

    return damage


def lose_class_everywhere(root):
    """No domain learns of dogs; they are in the test lists still."""
    for path in root.glob("*_train.txt"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(x for x in lines if "/dog/" not in x))


def copy_across_splits(root):
    shutil.copy(root / "art/cat/3.png", root / "art/cat/9.png")
