"""Finding groups where a corpus names none: k-means centroids over passage embeddings, fitted once per store.

The centroids are kept beside the tables, so documents of later nights join the groups that adapters exist for.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import numpy as np

from lloco_core.distributed.remote import on_a_worker
from lloco_core.types import Document

if TYPE_CHECKING:
    from lloco_core.config import CorpusConfig, RetrievalConfig
    from lloco_core.store.plans import StoredPlan
    from lloco_core.store.tables import Store
    from lloco_core.types import SourceObject

logger = logging.getLogger(__name__)

CENTROIDS_KEY = "_groups/centroids.npy"
SAMPLE_DOCUMENTS = 512
"""Documents that the centroids are fitted on, evenly spread over the plan."""


def load_or_fit_centroids(store: Store, plan: StoredPlan, corpus: CorpusConfig, retrieval: RetrievalConfig) -> np.ndarray | None:
    """Centroids [k, D] of this store; fitted on a sample of the plan when there are none.

    None when the sampled documents all have a group of their own.
    """
    if any(item.key == CENTROIDS_KEY for item in store.objects.list("_groups/")):
        return np.load(io.BytesIO(store.objects.get(CENTROIDS_KEY)))
    if not plan or corpus.group_by in ("folder", "field"):
        return None
    sample = plan.sample(SAMPLE_DOCUMENTS)
    centroids = on_a_worker(_fit, sample, corpus, retrieval)
    if centroids is None:
        return None
    buffer = io.BytesIO()
    np.save(buffer, centroids)
    if not store.objects.create(CENTROIDS_KEY, buffer.getvalue()):
        return np.load(io.BytesIO(store.objects.get(CENTROIDS_KEY)))
    logger.info("found %d document groups by clustering %d documents", len(centroids), len(sample))
    return centroids


def _fit(sources: list[SourceObject], corpus: CorpusConfig, retrieval: RetrievalConfig) -> np.ndarray | None:
    from lloco_core.corpus.clustering import fit_clusters
    from lloco_core.corpus.reading import read_documents
    from lloco_core.pipeline import document_vectors, passages_to_cluster
    from lloco_core.retrieval.embedder import Embedder

    embedder, vectors = None, []
    for source in sources:
        for found in read_documents(source, corpus):
            if isinstance(found, Document) and found.group is None and found.text:
                embedder = embedder or Embedder(retrieval.model)
                passages = passages_to_cluster(found.text, retrieval.passage_chars)
                vectors.append(document_vectors(embedder.embed([passage.text for passage in passages])))
    return fit_clusters(np.concatenate(vectors), corpus.clusters) if vectors else None
