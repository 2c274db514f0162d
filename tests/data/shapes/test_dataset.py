import errno
import pathlib

import numpy as np
import pytest
from PIL import Image

from dmg_tf.commands import shapes as shapes_command
from dmg_tf.data.shapes import dataset as shapes
from dmg_tf.data.shapes import parts as shapes_parts
from dmg_tf.errors import UserError


def _pixels(domain, count=3, seed=0):
    """Returns uint8 [classes * count, 64, 64, 3]."""
    return np.stack(
        [
            np.asarray(shapes.render(domain, class_name, index, seed))
            for class_name in shapes.CLASSES
            for index in range(count)
        ]
    )


@pytest.fixture(scope="module")
def pictures():
    return {domain: _pixels(domain) for domain in shapes.DOMAINS}


# === Outlines ===


def _inside(shape):
    return np.asarray(shapes_parts.area_of(shape)) > 0


def _faces_right(class_name, seed):
    """Whether more of the outline lies right of the middle of its box."""
    shape = shapes.silhouette(class_name, np.random.default_rng(seed))
    columns = np.flatnonzero(_inside(shape).any(0))
    weights = _inside(shape).sum(0)[columns[0] : columns[-1] + 1]
    half = len(weights) // 2
    return weights[-half:].sum() > weights[:half].sum()


@pytest.mark.parametrize("class_name", shapes.CLASSES)
def test_outline_fills_a_fair_part_of_the_canvas(class_name):
    shares = []
    for seed in range(40):
        shape = shapes.silhouette(class_name, np.random.default_rng(seed))
        assert shape.outline.ndim == 2 and len(shape.outline) > 30
        shares.append(_inside(shape).mean())
    assert min(shares) > 0.01
    assert max(shares) < 0.7
    # Size varies, so the number of dark pixels does not give the class away.
    assert max(shares) > 2 * min(shares)


@pytest.mark.parametrize("class_name", shapes.CLASSES)
def test_each_class_faces_both_ways(class_name):
    # Training flips pictures, so a class must contain its own mirror images.
    right = sum(_faces_right(class_name, seed) for seed in range(64))
    assert abs(right - 32) < 4 * np.sqrt(64) / 2


# === Pictures ===


def test_constants():
    assert shapes.CLASSES == tuple(sorted(set(shapes.CLASSES)))
    assert len(shapes.CLASSES) == 7
    assert shapes.DOMAINS == ("art_painting", "cartoon", "photo", "sketch")


@pytest.mark.parametrize("domain", shapes.DOMAINS)
def test_render_gives_rgb_of_64_pixels(domain):
    picture = shapes.render(domain, "mug", 0, 0)
    assert picture.mode == "RGB"
    assert picture.size == (64, 64)


def test_render_depends_on_its_arguments_alone():
    wanted = [
        (domain, class_name, index)
        for domain in shapes.DOMAINS
        for class_name in ("fish", "star")
        for index in (0, 7)
    ]
    forward = {key: shapes.render(*key, 3).tobytes() for key in wanted}
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    backward = {key: shapes.render(*key, 3).tobytes() for key in wanted[::-1]}
    assert forward == backward
    assert len(set(forward.values())) == len(wanted)


@pytest.mark.parametrize("domain", shapes.DOMAINS)
def test_another_seed_gives_another_picture(domain):
    first = shapes.render(domain, "arrow", 0, seed=0)
    second = shapes.render(domain, "arrow", 0, seed=1)
    assert first.tobytes() != second.tobytes()


def test_sketches_are_colourless_thin_lines_on_white(pictures):
    sketches = pictures["sketch"].astype(int)
    assert (sketches.max(-1) == sketches.min(-1)).all()
    assert (sketches[..., 0] > 235).mean() > 0.8
    assert ((sketches[..., 0] < 190).mean((1, 2)) > 0.005).all()  # not empty


def test_other_domains_are_coloured_and_not_white(pictures):
    for domain in ("art_painting", "cartoon", "photo"):
        levels = pictures[domain].astype(int)
        chroma = (levels.max(-1) - levels.min(-1)).mean()
        assert chroma > 20, domain
        assert (levels.min(-1) > 235).mean() < 0.2, domain


def _share_of_common_colors(picture, count=6):
    colors = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)[1]
    return np.sort(colors)[-count:].sum() / colors.sum()


def test_only_cartoons_are_flat(pictures):
    share = {
        domain: np.mean([_share_of_common_colors(x) for x in pictures[domain]])
        for domain in ("art_painting", "cartoon", "photo")
    }
    assert share["cartoon"] > 0.7
    assert share["photo"] < 0.1
    assert share["art_painting"] < 0.1


def test_cartoons_have_dark_outlines_and_the_most_saturated_colours(pictures):
    dark = (pictures["cartoon"].max(-1) < 60).mean((1, 2))
    assert (dark > 0.01).all()
    chroma = {}
    for domain, levels in pictures.items():
        levels = levels.astype(int)
        chroma[domain] = (levels.max(-1) - levels.min(-1)).mean()
    assert max(chroma, key=chroma.get) == "cartoon"


def test_paintings_have_strokes_where_photos_are_smooth(pictures):
    def rough(domain):
        gray = pictures[domain].astype(float).mean(-1)
        return np.abs(np.diff(gray, axis=2)).mean()

    assert rough("art_painting") > 1.3 * rough("photo")


def test_photos_carry_noise_in_every_row(pictures):
    rows = pictures["photo"].astype(int)
    assert (np.abs(np.diff(rows, axis=2)).mean((2, 3)) > 0.5).all()


@pytest.mark.parametrize("domain", shapes.DOMAINS)
def test_three_in_four_pictures_follow_the_habit_of_their_class(
    domain, monkeypatch
):
    habits = []
    monkeypatch.setitem(
        shapes.STYLES, domain, lambda shape, rng, habit: habits.append(habit)
    )
    count = 40
    for class_name in shapes.CLASSES:
        for index in range(count):
            shapes.render(domain, class_name, index)
    own = np.repeat(np.arange(7), count) == habits
    wanted = 0.75 + 0.25 / 7  # the others hit their own class by chance
    deviation = np.sqrt(wanted * (1 - wanted) / len(own))
    assert abs(own.mean() - wanted) < 4 * deviation


@pytest.mark.parametrize("domain", shapes.DOMAINS)
def test_habit_shows_in_the_picture(domain):
    # A sketch shows it only where it is hatched, so look at some.
    changed = 0
    for seed in range(10):
        first, second = (
            shapes.STYLES[domain](
                shapes.silhouette("mug", np.random.default_rng(seed)),
                np.random.default_rng(seed),
                habit,
            )
            for habit in (1, 5)
        )
        changed += first.tobytes() != second.tobytes()
    assert changed >= (3 if domain == "sketch" else 10)


def _hue(picture):
    """Returns the mean colour as a unit vector of red - green, yellow - blue.

    Backgrounds have a random hue, so they cancel in a mean over pictures.
    """
    red, green, blue = picture.reshape(-1, 3).astype(float).mean(0)
    return np.array([red - green, (red + green) / 2 - blue])


def test_hues_of_photos_and_cartoons_do_not_agree():
    count = 20
    hue = {
        domain: np.stack([_hue(x) for x in _pixels(domain, count)])
        .reshape(7, count, 2)
        .mean(1)
        for domain in ("photo", "cartoon")
    }
    centred = {key: value - value.mean(0) for key, value in hue.items()}
    agreement = (centred["photo"] * centred["cartoon"]).sum(1)
    norms = [np.linalg.norm(value, axis=1) for value in centred.values()]
    assert (agreement / np.prod(norms, 0)).mean() < 0.2


# === Folders ===


def _files(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*.png")
    )


def test_layout_and_contents(tmp_path):
    folder = shapes.ensure_shapes(tmp_path / "new", seed=5, images_per_class=2)
    assert folder == tmp_path / "new" / "dmg_tf_shapes_v1_seed5_2"
    assert _files(folder) == sorted(
        f"{domain}/{class_name}/{index:03d}.png"
        for domain in shapes.DOMAINS
        for class_name in shapes.CLASSES
        for index in range(2)
    )
    path = folder / "photo" / "mug" / "001.png"
    with Image.open(path) as stored:
        assert stored.mode == "RGB"
        same = shapes.render("photo", "mug", 1, 5)
        assert stored.tobytes() == same.tobytes()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_default_root_is_below_keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    folder = shapes.ensure_shapes(images_per_class=1)
    assert folder == tmp_path / "datasets" / "dmg_tf_shapes_v1_seed0_1"


def test_second_call_renders_nothing(tmp_path, monkeypatch):
    folder = shapes.ensure_shapes(tmp_path, images_per_class=1)
    monkeypatch.setattr(shapes, "render", None)
    assert shapes.ensure_shapes(tmp_path, images_per_class=1) == folder


@pytest.mark.parametrize(
    "failure, raised",
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["disk full", "interrupted"],
)
def test_failure_midway_leaves_nothing(tmp_path, monkeypatch, failure, raised):
    save, calls = Image.Image.save, []

    def fail_late(picture, path, **options):
        calls.append(path)
        if len(calls) > 10:
            raise failure
        save(picture, path, **options)

    monkeypatch.setattr(Image.Image, "save", fail_late)
    with pytest.raises(raised) as caught:
        shapes.ensure_shapes(tmp_path, images_per_class=1)
    assert len(calls) == 11
    assert not any(tmp_path.iterdir())
    if raised is UserError:
        message = str(caught.value)
        assert "No space left on device" in message
        assert str(tmp_path) in message and "\n" not in message


def test_loser_of_a_race_takes_the_folder_of_the_winner(tmp_path, monkeypatch):
    render_all = shapes._render_all

    def render_while_another_one_finishes(partial, seed, count):
        render_all(partial, seed, count)
        # Below the root, since a rename to another disk would not be atomic.
        assert tmp_path in partial.parents
        winner = tmp_path / "dmg_tf_shapes_v1_seed0_1"
        assert not winner.exists()
        winner.mkdir()
        (winner / "winner").touch()

    monkeypatch.setattr(
        shapes, "_render_all", render_while_another_one_finishes
    )
    folder = shapes.ensure_shapes(tmp_path, images_per_class=1)
    assert [path.name for path in folder.iterdir()] == ["winner"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_root_that_cannot_be_written(tmp_path):
    # A file in the way: permissions would not stop a test run as root.
    root = tmp_path / "file"
    root.touch()
    with pytest.raises(UserError, match="cannot write .*file.*KERAS_HOME"):
        shapes.ensure_shapes(root, images_per_class=1)
    assert root.is_file()


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"images_per_class": 0}], ids=str
)
def test_arguments_out_of_range(tmp_path, arguments):
    with pytest.raises(UserError, match="seed >= 0"):
        shapes.ensure_shapes(tmp_path, **arguments)


def test_contact_sheet_shows_every_class_and_domain(tmp_path):
    path = shapes.contact_sheet(tmp_path / "sheet.png", samples=1)
    with Image.open(path) as sheet:
        width, height = sheet.size
        assert width > len(shapes.DOMAINS) * 64
        assert height > len(shapes.CLASSES) * 64
    with pytest.raises(UserError, match="cannot write the sheet"):
        shapes.contact_sheet(tmp_path / "none" / "sheet.png", samples=1)


def test_command_line(tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert shapes_command.main(["--sheet", str(path)]) == 0
    assert pathlib.Path(capsys.readouterr().out.strip()).is_file()
    missing = tmp_path / "none" / "sheet.png"
    assert shapes_command.main(["--sheet", str(missing)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
