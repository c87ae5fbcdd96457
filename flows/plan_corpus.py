"""A dry run: what an ingest would do to the store and what it would cost. Changes nothing.

`python -m flows.plan_corpus --config night.yaml` runs it in this process; the deployment `plan-corpus/dry-run` runs the same flow.
"""

from __future__ import annotations

from prefect import flow

from flows.command import run_command
from lloco_core.config import NightlyConfig
from lloco_core.corpus.overlap import refuse_overlap
from lloco_core.observe.preview import Preview
from tasks import ingest as steps


@flow(name="plan-corpus", validate_parameters=True)
def plan_corpus(config: NightlyConfig) -> Preview:
    """Compare the corpus with the store and estimate the work."""
    from lloco_core.distributed.session import ray_session

    refuse_overlap(config.corpus, config.store.uri)
    with ray_session(config.cluster):
        return steps.preview(config)


def main() -> None:
    """Print the preview of an ingest."""
    from lloco_core.observe.terminal import print_pairs

    run_command(
        plan_corpus,
        NightlyConfig,
        lambda preview: print_pairs("An ingest would", preview.facts()),
        "nothing was changed; run the same command again",
    )


if __name__ == "__main__":
    main()
