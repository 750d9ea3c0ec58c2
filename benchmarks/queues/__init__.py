"""Throughput of the queue: records without files, beside other queues on the same machine."""
