"""Support: files, randomness, caches and threads; nothing here knows recommenders."""
