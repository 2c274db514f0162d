"""Asks TensorFlow Serving for predictions over REST, by the standard library.

python rest_client.py [--signature NAME] [--domain NAME] IMAGE...
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

# signature: the name of its input of images
ENCODED = {"serving_bytes": "image_bytes"}
PIXELS = dict.fromkeys(
    (
        "serving_default",
        "serving_float",
        "known_domain",
        "known_domain_by_name",
        "mask_ens",
        "per_mask",
        "per_head",
    ),
    "images",
)
# signature: the name of its input of domains
DOMAINS = {"known_domain": "domain_ids", "known_domain_by_name": "domains"}


def predict_request(
    signature: str, images: Sequence, domain: str | int | None = None
) -> dict:
    """Makes the JSON of a request, in the server's row format.

    Args:
        signature: A key of `ENCODED` or `PIXELS`.
        images: For `serving_bytes` the files' bytes; else nested lists
            [H][W][3] of whole numbers in [0, 255], all of one size.
        domain: For `known_domain` the id, for `known_domain_by_name` the name,
            of the domain that all images are of.
    """
    if signature in ENCODED:
        # JSON has no bytes; the server decodes what is called "b64".
        images = [{"b64": base64.b64encode(i).decode()} for i in images]
    name = {**ENCODED, **PIXELS}[signature]
    instances = [{name: image} for image in images]
    if signature in DOMAINS:
        for instance in instances:
            instance[DOMAINS[signature]] = domain
    return {"signature_name": signature, "instances": instances}


def post(url: str, model: str, request: dict, timeout: float = 60) -> list:
    """Sends a request; returns a dict of outputs for each image.

    Raises:
        RuntimeError: If the server refuses it, with the server's words.
    """
    message = urllib.request.Request(
        f"{url.rstrip('/')}/v1/models/{model}:predict",
        json.dumps(request).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(message, timeout=timeout) as reply:
            return json.load(reply)["predictions"]
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        try:
            body = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError):
            body = body.decode("utf-8", "replace")
        raise RuntimeError(f"HTTP {error.code}: {body}") from error


def read_pixels(path: str) -> list:
    """Returns an image as nested lists; the one use of a package, Pillow."""
    try:
        import PIL.Image
    except ImportError as error:
        raise RuntimeError(
            "this signature takes pixels, and reading them needs Pillow (pip "
            "install pillow); serving_bytes takes the file as it is"
        ) from error
    with PIL.Image.open(path, formats=("JPEG", "PNG")) as image:
        image = image.convert("RGB")
        raw, width = image.tobytes(), image.width
    rows = range(0, len(raw), 3 * width)
    return [
        [list(raw[i : i + 3]) for i in range(row, row + 3 * width, 3)]
        for row in rows
    ]


def main(argv: list[str] | None = None) -> int:
    """Prints a line of JSON for each image; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--model", default="dmg")
    parser.add_argument(
        "--signature", default="serving_bytes", choices=[*ENCODED, *PIXELS]
    )
    parser.add_argument("--domain", help="for known_domain: an id or a name")
    args = parser.parse_args(argv)
    domain = args.domain
    try:
        if (domain is None) == (args.signature in DOMAINS):
            raise RuntimeError(
                f"--domain goes with {' and '.join(DOMAINS)}, and these need it"
            )
        if args.signature == "known_domain":
            domain = int(domain)
        for path in args.images:
            if args.signature in ENCODED:
                image = pathlib.Path(path).read_bytes()
            else:
                image = read_pixels(path)
            request = predict_request(args.signature, [image], domain)
            answer = post(args.url, args.model, request)[0]
            print(json.dumps({"image": path, **answer}), flush=True)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
