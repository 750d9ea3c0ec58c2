"""The peer's side, run by the peer's own interpreter: LlamaIndex's usual pipeline into PGVectorStore, as its documentation
has it: a reader of files, sentences packed to so many tokens, vectors, words for hybrid search. No docstore, which would
also know what has changed, and no index of vectors: both would cost more.

    llama.py URL_OF_DATABASE URL_OF_SERVICE FILE_WITH_PATHS DIMENSIONS TOKENS
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2
from costs import CostMeter
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

BATCH = 64  # ours too


def main() -> None:
    database_url, service_url, listed, dimensions, tokens = sys.argv[1:]
    paths = Path(listed).read_text(encoding="utf-8").splitlines()
    at = urlsplit(database_url)
    session = psycopg2.connect(database_url)
    session.autocommit = True
    meter = CostMeter(session.info.backend_pid)
    store = PGVectorStore.from_params(
        host=at.hostname,
        port=str(at.port),
        database=at.path.strip("/"),
        user=at.username,
        password=unquote(at.password or ""),
        table_name="peer",
        embed_dim=int(dimensions),
        hybrid_search=True,
    )
    embedder = OpenAILikeEmbedding(
        model_name="bench", api_base=service_url, embed_batch_size=BATCH, dimensions=None
    )
    splitter = SentenceSplitter(chunk_size=int(tokens), chunk_overlap=int(tokens) // 8)
    pipeline = IngestionPipeline(transformations=[splitter, embedder], vector_store=store)
    pipeline.run(documents=SimpleDirectoryReader(input_files=paths).load_data())
    with session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM data_peer")
        [count] = cursor.fetchone()
    meter.tell(count)


if __name__ == "__main__":
    main()
