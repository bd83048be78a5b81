"""The media plane in memory, for tests: the same interfaces, the same contract tests."""
