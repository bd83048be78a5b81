"""Generators: pages and types that are written from the protocol's tables."""
