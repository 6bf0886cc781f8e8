# What people and CI call; the work is in tools/. `make help` is the table of contents.

SHELL := /bin/bash
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help

.PHONY: help setup demo demo-down check test images image-tests stack-tests reference lock bench bench-supervisor clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make this machine ready: .venv, container engine, Compose, Debian's base image
	@tools/setup

demo: setup images ## a complete mail system with an embedded directory on this machine
	@$(PYTHON) -m tools.demo

demo-down: ## stop the demo and remove what it made
	@$(PYTHON) -m tools.demo down

check: ## style, types, unit tests: minutes
	@tools/setup venv
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check .
	@.venv/bin/mypy --no-error-summary
	@$(PYTHON) -m pytest -q tests/unit

test: setup check images image-tests stack-tests ## everything, from an empty machine on: minutes

images: ## build the images
	@tools/setup venv
	@$(PYTHON) -m tools.images

image-tests: ## each daemon alone in its container
	@$(PYTHON) -m pytest -q -m image tests/image

stack-tests: ## the whole system, with real mail
	@tools/setup venv swaks
	@$(PYTHON) -m pytest -q -m stack tests/stack

reference: ## what is written from the code: in docs/reference, and examples/full.env
	@tools/setup venv
	@$(PYTHON) -m tools.reference

lock: ## newest versions of the dependencies into the lock files
	@tools/setup venv
	@$(PYTHON) -m tools.lock

bench: ## measure, and print tables: minutes
	@tools/setup venv
	@tools/setup peers || true # without root: their columns say so
	@$(PYTHON) -m benchmarks

bench-supervisor: ## our supervisor beside supervisord, s6 and none: one table, minutes
	@tools/setup venv
	@tools/setup peers || true # as above
	@$(PYTHON) -m benchmarks --only supervisor

clean: ## remove what the targets above left in the checkout
	@rm -rf .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .venv dist
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
