"""Graph indexes of others, on the vectors that the bench of `host/crates/vectors` wrote.

    cargo bench -p taja-vectors --bench index -- 100000 write=FOLDER
    python -m venv .venv && .venv/bin/pip install -r bench/vectors/requirements.txt
    .venv/bin/python bench/vectors/peers.py FOLDER [THREADS] [NAME..]

For each, the narrowest search that finds 99 % of the ten nearest: searches a second of the clock, and a second of
computing, which says more on a machine that others use. An index is made once and kept beside the vectors.
"""

import sys
import time
from pathlib import Path

import faiss
import hnswlib
import numpy as np
from usearch.index import Index

DIMENSION, K, GOAL = 768, 10, 0.99
LINKS, BUILD_WIDTH = 16, 128
WIDTHS = (10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def of_hnswlib(vectors, threads, kept):
    index = hnswlib.Index(space="ip", dim=DIMENSION)
    if kept.exists():
        index.load_index(str(kept), max_elements=len(vectors))
    else:
        index.init_index(max_elements=len(vectors), M=LINKS, ef_construction=BUILD_WIDTH)
        index.add_items(vectors, num_threads=threads)
        keep(index.save_index, kept)

    def search(queries, width):
        index.set_ef(width)
        return index.knn_query(queries, k=K, num_threads=threads)[0]

    return search


def of_usearch(dtype):
    def make(vectors, threads, kept):
        index = Index(ndim=DIMENSION, metric="ip", dtype=dtype, connectivity=LINKS, expansion_add=BUILD_WIDTH)
        if kept.exists():
            index.load(str(kept))
        else:
            index.add(np.arange(len(vectors)), vectors, threads=threads)
            keep(index.save, kept)

        def search(queries, width):
            index.expansion_search = width
            return index.search(queries, K, threads=threads).keys

        return search

    return make


def of_faiss(kind):
    def make(vectors, threads, kept):
        faiss.omp_set_num_threads(threads)
        if kept.exists():
            index = faiss.read_index(str(kept))
        else:
            index = faiss.index_factory(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
            faiss.ParameterSpace().set_index_parameter(index, "efConstruction", BUILD_WIDTH)
            index.train(vectors[:20_000])
            index.add(vectors)
            keep(lambda path: faiss.write_index(index, path), kept)

        def search(queries, width):
            faiss.ParameterSpace().set_index_parameter(index, "efSearch", width)
            return index.search(queries, K)[1]

        return search

    return make


PEERS = {
    "hnswlib": of_hnswlib,
    "usearch-f32": of_usearch("f32"),
    "usearch-f16": of_usearch("f16"),
    "usearch-i8": of_usearch("i8"),
    "faiss-hnsw": of_faiss(f"HNSW{LINKS}"),
    "faiss-hnsw-sq8": of_faiss(f"HNSW{LINKS}_SQ8"),
}


def keep(save, path):
    """Whole or not at all."""
    part = path.with_suffix(".part")
    save(str(part))
    part.rename(path)


def recall(found, truth):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, truth)]) / K


def timed(work):
    began, computed = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - computed


def measure(name, folder, threads):
    vectors = np.fromfile(folder / "vectors.f32", dtype="<f4").reshape(-1, DIMENSION)
    queries = np.fromfile(folder / "queries.f32", dtype="<f4").reshape(-1, DIMENSION)
    truth = np.fromfile(folder / "truth.u32", dtype="<u4").reshape(-1, K)
    kept = folder / f"{name}.index"
    what = "read" if kept.exists() else "made"
    search, clock, computing = timed(lambda: PEERS[name](vectors, threads, kept))
    print(f"{name}: {len(vectors)} vectors {what} in {clock:.1f} s, {computing:.1f} s of computing", flush=True)
    share = 0.0
    for width in WIDTHS:
        share = recall(search(queries, width), truth)
        if share >= GOAL:
            break
    searches = clock = computing = 0
    while clock < 2:
        _, one_clock, one_computing = timed(lambda: search(queries, width))
        searches, clock, computing = searches + len(queries), clock + one_clock, computing + one_computing
    rates = f"{searches / clock:.0f} a second, {searches / computing:.0f} a second of computing"
    print(f"{name}: width {width}, recall {share:.4f}, {rates}", flush=True)


def main():
    folder, threads, *names = sys.argv[1:] + ["2"] * (len(sys.argv) == 2)
    for name in names or PEERS:
        measure(name, Path(folder), int(threads))


main()
