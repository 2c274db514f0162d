"""Downloads a published dataset, checks it and unpacks it into a folder.

dmg-tf data get NAME --to DIR [--from URL]
"""

import argparse
import pathlib
import shlex

from dmg_tf.console.parser import OneLineParser, command, program
from dmg_tf.console.printable import say
from dmg_tf.data import detect_dataset
from dmg_tf.data.download.get import get_dataset, obtainable
from dmg_tf.registry import DATASETS


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        description=__doc__.splitlines()[0],
        epilog=_offered(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", metavar="NAME", choices=obtainable(), help="one of those below"
    )
    parser.add_argument(
        "--to",
        type=pathlib.Path,
        metavar="DIR",
        required=True,
        help="the dataset's folder; what is there of it is not fetched again",
    )
    parser.add_argument(
        "--from",
        dest="mirror",
        metavar="URL",
        help="a folder on a server that has all of the files under their "
        "names, such as a copy within an institute (default: where they are "
        "published)",
    )
    return parser


def _offered() -> str:
    lines = ["datasets:"]
    for name in obtainable():
        files = DATASETS[name].files
        many = "1 file" if len(files) == 1 else f"{len(files)} files"
        if all(file.size for file in files):
            many += f", {sum(file.size for file in files) / 1e9:.1f} GB"
        by_hand = [file.name for file in files if file.url is None]
        if by_hand:
            many += f", by a browser only: {', '.join(by_hand)}"
        lines += [
            f"  {name:<16} {DATASETS[name].title}: {many}",
            *(f"    {page}" for page in dict.fromkeys(f.page for f in files)),
        ]
    return "\n".join(
        [
            *lines,
            "",
            "The same command goes on with a download that was broken off. A "
            "file that is",
            "put into DIR by hand, under its published name, is checked and "
            "unpacked.",
        ]
    )


@program(if_interrupted="the same command goes on from here")
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    new = get_dataset(args.name, args.to, args.mirror)
    spec = DATASETS[args.name]
    folder = shlex.quote(str(args.to))
    say(f"{args.to} {'now ' * new}holds {spec.title}")
    reads = ""
    if detect_dataset("auto", str(args.to)) != args.name:
        reads = f" --dataset {args.name}"
    target = shlex.quote(spec.domains(str(args.to))[-1])
    say(f"check it: {command('check')} {folder}{reads}")
    say(
        f"train:    {command('train')} --data {folder}{reads} --target {target}"
    )
    return 0
