# One line a target; the first use of any makes .venv, later ones find it up to date.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Snakemake needs a cache, by default in the home.
ifneq ($(shell test -w "$${XDG_CACHE_HOME:-$$HOME}" && echo writable),writable)
export XDG_CACHE_HOME := $(CURDIR)/results/.cache
export MPLCONFIGDIR := $(XDG_CACHE_HOME)
endif

.PHONY: setup reproduce_table1 reproduce_table2 reproduce_figures reproduce_all check_drift verify_table2 publish_report report test coverage test-slow test-all test-slurm check cluster

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && .venv/bin/pip install --quiet --constraint constraints.txt --editable .[dev] && touch $@

reproduce_table1 reproduce_table2 reproduce_figures reproduce_all check_drift verify_table2 publish_report report: setup
	snakemake --cores all $@

test: setup
	pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder

coverage: setup
	pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report term --cov-report xml

test-slow: setup
	pytest -m slow --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-all: test test-slow

cluster: .venv/.cluster

.venv/.cluster: .venv/.done
	.venv/bin/pip install --quiet --constraint constraints.txt --editable .[cluster] && touch $@

test-slurm: cluster
	python tests/slurm/run.py

check: setup
	ruff check . && ruff format --check . && lint-imports && snakefmt --check Snakefile workflow && snakemake --lint && mypy
