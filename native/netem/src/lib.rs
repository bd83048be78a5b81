//! Seeded loss, delay and reordering for tests and benchmarks.
