"""Makes the paper's tables and figures from a folder of run folders.

python tuning/paper.py DIR [--with-paper]
"""

import pathlib
import sys

DMG_TF_LAZY = True  # arguments are checked before TensorFlow is loaded
ROOT = pathlib.Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `python tuning/paper.py`
    sys.path.insert(0, str(ROOT))

from dmg_tf.config import OneLineParser  # noqa: E402
from dmg_tf.errors import UserError  # noqa: E402
from dmg_tf.progress import print_error  # noqa: E402
from dmg_tf.quiet import load_tensorflow  # noqa: E402
from dmg_tf.training.files import writing  # noqa: E402
from tuning.neurons import neurons  # noqa: E402
from tuning.paper_overlap import layers, overlap, sensitivity  # noqa: E402
from tuning.paper_tables import write_tables  # noqa: E402
from tuning.run_results import load_runs  # noqa: E402


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="a folder of run folders, as tuning/leave_one_out.py leaves it",
    )
    parser.add_argument(
        "--output",
        metavar="OUT",
        help="where tables and figures go (default: DIR/paper)",
    )
    parser.add_argument(
        "--with-paper",
        action="store_true",
        help="show the paper's own rows too (PACS and DomainNet)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    out = pathlib.Path(args.output or pathlib.Path(args.folder) / "paper")
    try:
        runs, unfinished = load_runs(args.folder)
        if unfinished:
            print_error(f"left out, not finished: {', '.join(unfinished)}")
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        if any(run.results["mask_iou"] for run in runs):
            load_tensorflow()  # it reads the masks of saved models
        by_weight = [*sensitivity(runs), *layers(runs)]
        by_pair, kinds = overlap(runs), neurons(runs)
        text, files = write_tables(
            runs, out, args.with_paper, [*by_weight, *by_pair, *kinds]
        )
        # Matplotlib takes a second to load.
        from tuning import paper_figures

        for draw, tables in (
            (paper_figures.lines_figure, by_weight),
            (paper_figures.overlap_figure, by_pair),
            (paper_figures.neurons_figure, kinds),
        ):
            for table in tables:
                figure = draw(table)
                files += paper_figures.write_figure(figure, out, table.name)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text)
    if not by_weight:
        print(
            "No figure of sensitivity: these runs do not differ in "
            "--siou-weight or --sparsity-weight alone."
        )
    print("Written: " + ", ".join(map(str, files)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
