"""Listens to facts: the log, and counters; one fact, the same words for every reader."""
