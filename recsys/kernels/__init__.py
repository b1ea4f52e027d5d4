"""The compiled greedy kernel, the layout it reads, and the slow statement it is checked against."""
