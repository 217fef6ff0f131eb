# One line a target; the first use of any makes .venv, later ones find it up to date. `make help` prints the lines that begin with ##.
PYTHON ?= python3
SHELL := bash
.SHELLFLAGS := -o pipefail -c
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Snakemake needs a cache, by default in the home.
ifneq ($(shell test -w "$${XDG_CACHE_HOME:-$$HOME}" && echo writable),writable)
export XDG_CACHE_HOME := $(CURDIR)/results/.cache
export MPLCONFIGDIR := $(XDG_CACHE_HOME)
endif
INSTALL = pip install --constraint constraints.txt --editable
# Of pip's lines those on large downloads and the end.
SHORT = { grep --line-buffered -E '(Downloading|Using cached) .*[0-9]{2}(\.[0-9]+)? MB|Installing collected' || true; } | cut -c -100

.PHONY: help setup reproduce_table1 reproduce_table2 reproduce_figures reproduce_all check_drift verify_table2 publish_report report readme docs test coverage test-slow test-all test-slurm check cluster

help:
	@sed -n 's/^## //p' Makefile

## setup               .venv with pinned versions; every target below makes it first
setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	@echo "Making .venv: some 250 packages, 7 GB with PyTorch and CUDA, 2 to 4 minutes" && $(PYTHON) -m venv .venv && .venv/bin/$(INSTALL) .[dev] | $(SHORT) && touch $@

## reproduce_table2    train SemFlow, DSM and the modified DSM on mini, evaluate, print Table 2
## reproduce_table1    train the other systems too, and make Table 1
## reproduce_figures   the figures and ablations
## reproduce_all       all of these, verdicts, report, notebooks
## verify_table2       evaluate the reference's weights and compare to 1e-4, without training
## check_drift         compare your run with the reference
## publish_report      put a report with its records into reports/, to be committed
## report              Snakemake's own report of a finished run
reproduce_table1 reproduce_table2 reproduce_figures reproduce_all check_drift verify_table2 publish_report report: setup
	snakemake --cores all $@

## readme              fill the numbers of README and docs from the study's records
readme: setup
	semflow readme README.md docs/*.md --records $$(find reports/study/records -name '*.json') --claims reports/study/claims.json

## docs                the documentation as a site, in results/site
docs: setup
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

## test                the tests but for slow ones
test: setup
	pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder

## coverage            the same with the share of lines that they run
coverage: setup
	pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report term --cov-report xml

## test-slow           those that train or run the workflow
test-slow: setup
	pytest -m slow --numprocesses 2 --dist loadfile --no-loadscope-reorder

## test-all            both
test-all: test test-slow

## cluster             the executors' plugins for SLURM and Kubernetes
cluster: .venv/.cluster

.venv/.cluster: .venv/.done
	@.venv/bin/$(INSTALL) .[cluster] | $(SHORT) && touch $@

## test-slurm          the workflow on a SLURM that this starts (as root, Debian)
test-slurm: cluster
	python tests/slurm/run.py

## check               formatters, linters, import order, types
check: setup
	ruff check . && ruff format --check . && lint-imports && snakefmt --check Snakefile workflow && snakemake --lint && mypy
