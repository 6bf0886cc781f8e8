"""The files in place in this container, masked with the key on stdin, as JSON on stdout: for `render --diff`.

So no secret leaves the container, and the host needs none of them.
"""

from __future__ import annotations

import json
import sys

from entrypoint.difference.masks import Mask
from entrypoint.difference.sides import in_place
from entrypoint.errors import EntrypointError


def main() -> int:
    """Print them; the exit code."""
    try:
        _, files = in_place(Mask(bytes.fromhex(sys.stdin.read().strip())))
    except EntrypointError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    print(json.dumps({str(path): text for path, text in files.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
