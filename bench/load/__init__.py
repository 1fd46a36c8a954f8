"""Load through the whole pipeline, measured from outside: latency at steady rates, and small and ragged batches of many parties."""
