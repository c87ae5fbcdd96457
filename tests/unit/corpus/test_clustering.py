"""Clusters of embedding vectors. Run: pytest tests/unit/corpus/test_clustering.py"""

from __future__ import annotations

import numpy as np
import pytest

from lloco_core.corpus.clustering import assign_clusters, fit_clusters


@pytest.fixture
def three_clouds() -> np.ndarray:
    rng = np.random.default_rng(7)
    vectors = np.repeat(np.eye(3, 16), 20, axis=0) + rng.normal(scale=0.05, size=(60, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_silhouette_finds_three_clouds(three_clouds):
    centroids = fit_clusters(three_clouds, None)
    assert (centroids.shape, centroids.dtype) == ((3, 16), np.float32)
    names = assign_clusters(three_clouds, centroids)
    assert [len(set(names[start : start + 20])) for start in (0, 20, 40)] == [1, 1, 1]
    assert sorted(set(names)) == ["cluster-00", "cluster-01", "cluster-02"]


def test_equal_input_gives_equal_clusters_in_any_order_of_documents(three_clouds):
    centroids = fit_clusters(three_clouds, None, seed=3)
    assert np.array_equal(centroids, fit_clusters(three_clouds, None, seed=3))
    shuffled = three_clouds[np.random.default_rng(0).permutation(60)]
    assert np.allclose(centroids, fit_clusters(shuffled, None, seed=3), atol=1e-6)


def test_a_new_vector_joins_the_nearest_cluster(three_clouds):
    centroids = fit_clusters(three_clouds, 3)
    assert assign_clusters(np.eye(3, 16, dtype=np.float32)[1:2], centroids) == assign_clusters(three_clouds[20:21], centroids)
    assert assign_clusters(np.empty((0, 16), np.float32), centroids) == []


@pytest.mark.parametrize(
    ("n", "n_distinct", "k", "expected"),
    [(3, 3, None, 1), (10, 3, None, 1), (1, 1, None, 1), (10, 2, 5, 2), (3, 3, 2, 2), (10, 1, 4, 1), (9, 9, 9, 9)],
)
def test_few_distinct_vectors_make_few_clusters(n, n_distinct, k, expected):
    vectors = np.eye(n_distinct, 16, dtype=np.float32)[np.arange(n) % n_distinct]
    centroids = fit_clusters(vectors, k)
    assert len(centroids) == expected
    assert len(set(assign_clusters(vectors, centroids))) == expected


def test_nothing_to_cluster_is_explained():
    with pytest.raises(ValueError, match=r"shape \(0, 16\)"):
        fit_clusters(np.empty((0, 16), np.float32), None)
