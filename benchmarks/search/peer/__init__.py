"""The whole index, words and vectors, beside the one that people build with LlamaIndex on the same database."""
