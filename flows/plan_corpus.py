"""A dry run: what an ingest would do to the store and what it would cost. Changes nothing.

`python -m flows.plan_corpus --config night.yaml` runs it in this process; the deployment `plan-corpus/dry-run` runs the same flow.
"""

from __future__ import annotations

import sys

from prefect import flow

from lloco_core.config import NightlyConfig
from lloco_core.errors import LlocoError
from lloco_core.observe.preview import Preview
from lloco_core.observe.printable import printable
from tasks import ingest as steps


@flow(name="plan-corpus", validate_parameters=True)
def plan_corpus(config: NightlyConfig) -> Preview:
    """Compare the corpus with the store and estimate the work."""
    from lloco_core.distributed.session import ray_session

    with ray_session(config.cluster):
        return steps.preview(config)


def main() -> None:
    """Print the preview of an ingest."""
    from lloco_core.observe.terminal import print_pairs
    from lloco_core.options import parse_options

    try:
        print_pairs("An ingest would", plan_corpus(parse_options()).facts())
    except LlocoError as error:
        sys.exit(printable(f"error: {error}"))


if __name__ == "__main__":
    main()
