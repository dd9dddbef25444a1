PYTHON ?= python3

.PHONY: quickstart test nightly install
quickstart test nightly install:
	$(PYTHON) dev.py $@
