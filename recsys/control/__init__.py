"""Rules of what may be used, shown and told, and their proof."""
