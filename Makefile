# "make" lists what there is. The logic is in bake/local/*.sh; each script says at its top what it does.

export LOCAL_STATE   ?= .local
export REGISTRY_PORT ?= 5000
PYTEST_ARGS          ?=
BENCH_ARGS           ?=
DEEPPREP             ?=
PYTORCH3D            ?=
ARCHS                ?= 12.0
PY                   := .venv/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv engine registry demo-base demo real test test-all lint pytest bench down clean-local

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: REGISTRY_PORT=$(REGISTRY_PORT) LOCAL_STATE=$(LOCAL_STATE) PYTEST_ARGS='-k NAME' BENCH_ARGS='--rounds 3' ARCHS='$(ARCHS)'"

demo: venv engine registry  ## uplift the demo image, push it, pull it back, verify it
	@bake/local/ca-bundle.sh bake/local/demo.sh

real: venv engine  ## DeepPrep's own sources and PyTorch3D: DEEPPREP=FOLDER PYTORCH3D=FOLDER, checkouts (25 GB, over an hour)
	@bake/local/ca-bundle.sh bake/local/real.sh '$(DEEPPREP)' '$(PYTORCH3D)' '$(ARCHS)'

test: venv engine registry demo-base lint pytest  ## every check and the tests of the first ten minutes

test-all: venv engine registry demo-base lint  ## after make demo: these, those of minutes with several engines, the demo's
	@bake/local/ca-bundle.sh $(PY) -m pytest -m 'not heavy' -n 2 $(PYTEST_ARGS)

venv:  ## the virtual environment .venv with the package and its tools
	@bake/local/venv.sh

engine:  ## a Docker Engine with buildx: the one that answers, or one from the distribution
	@bake/local/engine-up.sh

registry: venv  ## a registry on this machine's loopback address
	@bake/local/registry-up.sh

demo-base: venv engine  ## the small stand-in for a frozen image that the demo uplifts
	@bake/local/ca-bundle.sh $(PY) -m lab.demo_base

lint: venv engine  ## ruff, mypy, shellcheck, hadolint and buildx on what is rendered
	@bake/local/lint.sh

pytest: venv engine registry demo-base  ## the tests alone
	@bake/local/ca-bundle.sh $(PY) -m pytest $(PYTEST_ARGS)

bench: venv engine registry demo-base  ## the guide's way against our bake, on an engine of its own (root, about an hour)
	@bake/local/ca-bundle.sh $(PY) -m tests.bench $(BENCH_ARGS)

down:  ## stop the engine and the registry that were started from here
	@bake/local/engine-down.sh

clean-local: down  ## stop them and remove logs, the registry's images and .venv (not the engine's images)
	rm -rf .local build .venv
