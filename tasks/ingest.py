"""Tasks of an ingest. Their unit of memory is the committed shard, not the task result: nothing is cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

if TYPE_CHECKING:
    from lloco_core.config import NightlyConfig
    from lloco_core.distributed.ingest import Ingest, IngestTotals, Progress
    from lloco_core.observe.preview import Preview
    from lloco_core.planning import Plan


@task(name="plan", cache_policy=NO_CACHE)
def plan(ingest: Ingest) -> Plan:
    """List the corpus and decide what has to be encoded."""
    from lloco_core.distributed.ingest import plan_ingest

    result = plan_ingest(ingest)
    get_run_logger().info("%s", result.describe())
    table = [{"what": what, "count": count} for what, count in result.facts()]
    create_table_artifact(key="plan", table=table, description=f"Plan {result.plan_id}")
    return result


@task(name="preview", cache_policy=NO_CACHE)
def preview(config: NightlyConfig) -> Preview:
    """Say what an ingest would do and cost."""
    from lloco_core.distributed.ingest import preview_ingest

    result = preview_ingest(config)
    table = [{"what": what, "value": value} for what, value in result.facts()]
    create_table_artifact(key="preview", table=table, description=f"Preview of {config.corpus.uri}")
    return result


@task(name="compress-and-commit", cache_policy=NO_CACHE, retries=1, retry_delay_seconds=10)
def compress_and_commit(ingest: Ingest, plan: Plan) -> IngestTotals:
    """Encode the plan's shards on the cluster and commit them; a retry commits only what is missing."""
    from lloco_core.distributed.ingest import compress_and_commit as run

    log = get_run_logger()
    artifact = create_progress_artifact(progress=0.0, key="compress-progress", description="Shards committed")

    def report(progress: Progress) -> None:
        log.info("%s", progress)
        update_progress_artifact(artifact, progress=progress.percent, description=str(progress))

    totals = run(ingest, plan, report)
    create_table_artifact(
        key="compress",
        table=[
            {"what": "shards", "count": totals.n_shards},
            {"what": "documents encoded", "count": totals.n_documents},
            {"what": "documents with unchanged text", "count": totals.n_unchanged},
            {"what": "segments", "count": totals.n_segments},
            {"what": "passages", "count": totals.n_passages},
            {"what": "tokens", "count": totals.n_tokens},
            {"what": "tokens encoded", "count": totals.n_encoded_tokens},
            {"what": "documents removed", "count": totals.n_removed},
            {"what": "encoder seconds", "count": round(totals.encode_seconds, 1)},
            {"what": "encoder busy", "count": str(totals.encoder_busy)},
            *({"what": f"quarantined: {code}", "count": count} for code, count in sorted(totals.reasons.items())),
        ],
        description="What was compressed",
    )
    return totals


@task(name="index", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def index(ingest: Ingest) -> None:
    """Create or update the indices of the tables."""
    from lloco_core.store.index import build_indices

    build_indices(ingest.store, ingest.config.corpus.language)


@task(name="publish", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def publish(ingest: Ingest) -> str:
    """Publish the tables' current versions as a night; returns its name."""
    from lloco_core.distributed.ingest import publish as run

    return run(ingest)
