PYTHON ?= python

.PHONY: paper
paper:  # needs pip install -e ".[paper]"
	$(PYTHON) paper/make.py
