"""Groups for documents that have none: k-means over their embedding vectors.

Equal vectors in equal order give equal centroids, and centroids are sorted, so a cluster keeps its name over runs as
long as the centroids do. The ingest step fits once and stores the centroids; later documents are only assigned.
Shapes: N documents, D dimensions, K clusters.
"""

from __future__ import annotations

import numpy as np

_CANDIDATES = range(2, 9)
_SILHOUETTE_SAMPLE = 2000
"""The silhouette is quadratic in the number of documents."""


def fit_clusters(vectors_ND: np.ndarray, k: int | None, seed: int = 0) -> np.ndarray:
    """Find centroids [K, D] float32.

    Without `k`, the best silhouette of 2 to 8 clusters decides; fewer than 4 distinct vectors are one cluster. With
    `k`, there are as many clusters unless fewer vectors are distinct.
    """
    n_distinct = len(np.unique(vectors_ND, axis=0))
    if not n_distinct:
        raise ValueError(f"cannot cluster vectors of shape {vectors_ND.shape}: there are none; ingest documents first")
    if k is None:
        k = _best_k(vectors_ND, n_distinct, seed) if n_distinct >= 4 else 1
    centroids_KD = _k_means(vectors_ND, min(k, n_distinct), seed).cluster_centers_
    order = np.lexsort(centroids_KD.T[::-1])
    return centroids_KD[order].astype(np.float32)


def assign_clusters(vectors_ND: np.ndarray, centroids_KD: np.ndarray) -> list[str]:
    """Name the nearest cluster of every vector: `cluster-00`, `cluster-01`, and so on."""
    from sklearn.metrics import pairwise_distances_argmin

    if not len(vectors_ND):
        return []
    nearest = pairwise_distances_argmin(vectors_ND.astype(np.float64), centroids_KD.astype(np.float64))
    return [f"cluster-{index:02d}" for index in nearest]


def _best_k(vectors_ND: np.ndarray, n_distinct: int, seed: int) -> int:
    from sklearn.metrics import silhouette_score

    sample = min(_SILHOUETTE_SAMPLE, len(vectors_ND))
    scores = {}
    for k in _CANDIDATES:
        if k < n_distinct:  # the silhouette needs a cluster of at least two
            labels = _k_means(vectors_ND, k, seed).labels_
            scores[k] = silhouette_score(vectors_ND, labels, sample_size=sample, random_state=seed)
    return max(scores, key=lambda k: (scores[k], -k))


def _k_means(vectors_ND: np.ndarray, k: int, seed: int):
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=k, random_state=seed, n_init=10).fit(vectors_ND.astype(np.float64))
