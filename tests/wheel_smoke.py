"""Installs the wheel into an empty environment and uses it from elsewhere.

python tests/wheel_smoke.py

What a user does after `pip install`: train an epoch on the built-in data, write
the report, predict pictures. Nothing of the source tree may take part in it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Small and quick: this asks whether all is there, not how good it is.
TRAIN = (
    *("train", "--target", "sketch", "--sources", "cartoon", "photo"),
    *("--method", "aggregate", "--epochs", "1", "--image-size", "32"),
    *("--output", "run"),
)


def build_wheel(folder):
    """Builds from a copy: `build/` of an earlier time would get in."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "dmg_tf_command.py"):
        shutil.copy(ROOT / name, source)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dmg_tf", source / "dmg_tf", ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "-w", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "dmg_tf").rglob("*")
        if path.is_file()
    }
    missing = expected - set(zipfile.ZipFile(wheel).namelist())
    check(not missing, f"the wheel lacks {sorted(missing)}")
    shutil.rmtree(source)
    return wheel


def install(wheel, folder):
    """Makes an environment with the wheel and what it requires."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", wheel, cwd=folder)
    return python


def use(python, folder):
    """Uses the installed commands in a folder of its own."""
    dmg_tf = python.with_name("dmg-tf")
    print("dmg-tf", run(dmg_tf, "--version", cwd=folder).strip())
    print(run(dmg_tf, *TRAIN, cwd=folder))
    environment = json.loads((folder / "run/environment.json").read_text())
    check(environment["commit"] is None, "it names the commit of a checkout")

    page = folder / "run" / "report.html"
    page.unlink()
    run(dmg_tf, "report", "run", cwd=folder)
    check("prefers-color-scheme" in page.read_text("utf-8"), "no style")

    run(dmg_tf, "data", "shapes", "--root", "images", cwd=folder)
    (pictures,) = (folder / "images").glob("*/sketch")
    predict = ("predict", "run", pictures, "--csv", "out.csv")
    run(dmg_tf, *predict, cwd=folder)
    rows = (folder / "out.csv").read_text("utf-8").splitlines()
    check(len(rows) == 701, f"{len(rows)} rows for 700 pictures")

    code = "import dmg_tf; print(dmg_tf.__file__, dmg_tf.RunConfig.__module__)"
    place = run(python, "-c", code, cwd=folder)
    check(str(python.parent.parent) in place, f"it is imported from {place}")


def run(*command, cwd):
    """Runs a command; returns what it printed, ends the check if it fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    check(
        done.returncode == 0,
        f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
        f"{done.stdout}{done.stderr}",
    )
    return done.stdout


def check(right, message):
    if not right:
        sys.exit(f"error: {message}")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        begin = time.monotonic()
        wheel = build_wheel(folder)
        python = install(wheel, folder / "environment")
        installed = time.monotonic()
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        use(python, elsewhere)
        print(
            f"{wheel.name} works: {installed - begin:.0f} s to install, "
            f"{time.monotonic() - installed:.0f} s to use"
        )


if __name__ == "__main__":
    main()
