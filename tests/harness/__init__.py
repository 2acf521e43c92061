"""Small helpers for tests."""
