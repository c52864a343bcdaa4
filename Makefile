# `make` alone says what there is. Every target gets the machine ready by itself (scripts/setup) and says so.
SHELL := /bin/bash
BIN := .venv/bin
.DEFAULT_GOAL := help

# Compiled modules must be kept: without them each of the many processes that tests start compiles everything again.
unexport PYTHONDONTWRITEBYTECODE
export NETLOOM_BIN := $(CURDIR)/$(BIN)

help:
	@echo 'make lab        a cloud of three simulated hosts on this machine, with instances that ping (root)'
	@echo 'make lab-down   remove it'
	@echo 'make test       everything: make check, then real Open vSwitch, faults and other clients (root)'
	@echo 'make check      format, lint, types, import contracts, pure tests; under a minute, no root'
	@echo 'make peer       against others (fetched into build/): Keystone, Tempest, the openstack command, openstacksdk, Ansible, Nova, Octavia, Placement, Neutron'
	@echo 'make bench      the figures; make bench-stores: of the database engines and several processes'
	@echo 'make bench-scale  a thousand simulated hosts and more: what a change, a restart, a million ports cost'
	@echo 'make bench-throughput  with and without security groups on each switch; make bench-routing: the forms of routers'
	@echo 'make faults     a whole deployment broken at random while clients write: SEED=1 MINUTES=10'
	@echo 'make shape      sizes of files and functions, beside those of code that reads well'
	@echo 'make docs       check every link and name in the documentation; write the reference pages'

lab: system python
	@$(BIN)/netloom lab demo

lab-down: python
	@$(BIN)/netloom lab down

check: python
	@scripts/check

# One run of pytest counts every test; what failed with real switches and clocks is tried once more, and named.
test: judges static keystone
	@echo '==> tests: all of them'
	@scripts/test tests --ignore tests/bench

peer: python
	@PYTHONPATH=. $(BIN)/python -m tests.peer.run_all

keystone: python
	@PYTHONPATH=. $(BIN)/python -m tests.peer.keystone

static: python
	@scripts/check static

bench: system python
	@PYTHONPATH=. $(BIN)/python tests/bench/run.py

bench-stores: judges python
	@PYTHONPATH=. $(BIN)/python tests/bench/stores.py

bench-throughput: system python
	@PYTHONPATH=. $(BIN)/python tests/bench/throughput.py $(ARGS)

bench-routing: system python
	@PYTHONPATH=. $(BIN)/python tests/bench/routing.py $(ARGS)

# make bench-scale ARGS='--quick', or ARGS='--only hosts restart'
bench-scale: judges python
	@PYTHONPATH=. $(BIN)/python tests/bench/scale.py $(ARGS)

faults: judges python
	@PYTHONPATH=. $(BIN)/python -m tests.faults.run --seed $(or $(SEED),1) --minutes $(or $(MINUTES),1) --engine $(or $(ENGINE),postgresql)

shape: python
	@$(BIN)/python scripts/shape.py

docs: python
	@$(BIN)/python -m scripts.docs

python:
	@scripts/setup python

system:
	@scripts/setup system

judges:
	@scripts/setup judges

clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.PHONY: help lab lab-down check test peer keystone faults judges static bench bench-stores bench-scale bench-throughput bench-routing shape docs python system clean
