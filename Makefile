# `make` lists what can be made. Everything lands inside this folder; `make clean` takes it away again.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# Two jobs: downloads wait for the network while the practice region is computed.
MAKEFLAGS += --no-print-directory -j2

PORT ?= 8000
# OFFLINE=1: use only what is already here and never touch the network.
OFFLINE ?=
offline := $(filter-out 0 no,$(OFFLINE))

VENV := .venv
PY := $(VENV)/bin/python
PIP_FLAGS := --quiet --disable-pip-version-check $(if $(offline),--no-index)
# npm writes this file at the end of an installation.
NODE_MODULES := node_modules/.package-lock.json
JS_TESTS = $(shell find tests/js -name '*.test.js' -o -name '*.test.mjs')

export PYTHONPATH := py:.

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=8000 serves elsewhere; OFFLINE=1 uses only what is already here; PYTHON=... names an interpreter."

start: site ## set up what is missing, then build and serve the site at http://localhost:8000
	@$(PY) -m tools.serve --port $(PORT) --root dist

dev: setup ## serve this folder as it is: no build, nothing kept by the browser
	@$(PY) -m tools.serve --port $(PORT)

setup: $(VENV)/.installed-start $(NODE_MODULES) vendor practice ## install and assemble everything, serve nothing

vendor: $(VENV)/.installed-start $(NODE_MODULES)
	@$(PY) -m tools.vendor $(if $(offline),--offline)
	@$(PY) -m tools.pyscript_config

practice: $(VENV)/.installed-start ## make the practice region
	@$(PY) -m tools.practice

test: setup $(VENV)/.installed-test ## install what the tests need, a browser included, and run them
	@$(if $(offline),,$(PY) -m tools.install_browser)
	@echo "JavaScript tests"
	@node --test $(JS_TESTS)
	@echo "Python, contract and browser tests"
	@$(PY) -m pytest -n 2 --dist worksteal $(WHICH)

test-all: WHICH := -m ""
test-all: test ## the long tests too

check: vendor $(VENV)/.installed-test $(VENV)/.installed-check ## linters, types, generated files
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@node_modules/.bin/tsc -p jsconfig.json
	@$(PY) -m tools.pyscript_config --check
	@$(PY) -m tools.icons --check
	@$(PY) -m tools.vendor --check
	@$(PY) -m tools.notices --check

site: setup ## build dist/, ready for any static host (COMPRESS=1 adds .br and .gz copies)
	@$(PY) -m tools.site $(if $(COMPRESS),--compress)

detect: setup $(VENV)/.installed-test ## run the main job without a window; prints one line of JSON (ARGS='--at "LAT, LON"')
	@$(PY) -m tools.detect $(ARGS)

screenshots: setup $(VENV)/.installed-test ## take the README's screenshots
	@$(PY) -m tools.screenshots $(ARGS)

train-demo: $(VENV)/.installed-model ## train the demo model again on a CUDA graphics processor; run it again to resume
	@$(PY) -m tools.model.dataset --train 380
	@$(PY) -m tools.model.train --steps 3440 --out .cache/demo-training/first
	@$(PY) -m tools.model.train --steps 2220 --rate 1.5e-3 --seed 2 --start-from .cache/demo-training/first/weights.safetensors
	@$(PY) -m tools.model.curve --log .cache/demo-training/first/log.jsonl .cache/demo-training/log.jsonl
	@$(PY) -m tools.model.export --preset demo --weights .cache/demo-training/weights.safetensors --out models/demo --dtypes fp32-half,fp16

eval-demo: setup $(VENV)/.installed-test ## measure the demo model on 500 held-out chips in a browser; prints one line of JSON
	@$(PY) -m tools.model.dataset --train 0 --validation 0 --test 1
	@$(PY) -m tools.model.evaluate --chips 500 --worst docs/demo-worst.jpg $(ARGS)

eval-refine: $(VENV)/.installed-test ## measure disturbed areas on 500 generated chips; prints one line of JSON (ARGS='--model models/demo')
	@$(PY) -m tools.refine_eval $(ARGS)

bench: setup $(VENV)/.installed-test ## measure the engine against the model card's pipeline (ARGS='--device wasm --twin tiny')
	@$(PY) -m bench.run $(ARGS)

exact: setup $(VENV)/.installed-test ## compare the engine's tokens with the library's own, over hundreds of chips
	@EXACT_CHIPS=300 $(PY) -m pytest tests/browser/test_engine_exact.py

bench-startup: setup $(VENV)/.installed-test ## measure starting against a bare PyScript page; prints one line of JSON
	@$(PY) -m bench.startup $(ARGS)

audit: setup $(VENV)/.installed-audit ## ask npm and PyPI for known weaknesses of what is pinned
	@$(PY) -m tools.audit

fuzz: setup $(VENV)/.installed-test ## damaged and hostile input, many times more than `make test` tries (CASES=30000 SEED=1)
	@FUZZ_CASES=$(or $(CASES),30000) FUZZ_SEED=$(or $(SEED),$(shell date +%s)) $(PY) -m pytest tests/unit/test_fuzz.py tests/unit/test_fuzz_imports.py -q --timeout 3600
	@FUZZ_CASES=$(or $(CASES),30000) FUZZ_SEED=$(or $(SEED),$(shell date +%s)) node --test tests/js/fuzz.test.mjs

soak: setup $(VENV)/.installed-test ## click hundreds of times and draw what memory did (CLICKS=500 BROWSER=gpu, webgpu for software)
	@rm -f .cache/soak.jsonl && mkdir -p .cache
	@SOAK_CLICKS=$(or $(CLICKS),500) SOAK_BROWSER=$(or $(BROWSER),wasm) SOAK_LEDGER=.cache/soak.jsonl \
	  $(PY) -m pytest -m "" tests/browser/test_soak.py -k demo -s || { $(PY) -m bench.soak .cache/soak.jsonl docs/soak.svg; exit 1; }
	@$(PY) -m bench.soak .cache/soak.jsonl docs/soak.svg

bench-memory: setup $(VENV)/.installed-test ## measure the peak memory of loading a kept model; prints one line of JSON (ARGS='--model cut')
	@$(PY) -m bench.memory $(ARGS)

bench-imagery: setup $(VENV)/.installed-test ## measure reading and computing of imagery; prints one line of JSON
	@$(PY) -m bench.imagery

bench-product: setup $(VENV)/.installed-test ## measure opening a whole Sentinel-2 product (makes one of 600 MB); prints one line of JSON
	@$(PY) -m bench.product

parity: setup $(VENV)/.installed-model ## compare every ONNX session, and 200 chips' answers in a browser, with PyTorch, live
	@$(PY) -m tools.model.record_parity --check
	@$(PY) -m tools.model.dataset --train 0 --validation 0 --test 1
	@$(PY) -m tools.model.evaluate --chips 200 --answers .cache/answers-wasm-fp32.json
	@$(PY) -m tools.model.parity_answers .cache/answers-wasm-fp32.json

clean: ## remove everything that was installed or made, except training data and base map sources in .cache
	@rm -rf $(VENV) node_modules vendor practice practice.making dist dist.making
	@rm -rf .cache/product .cache/downloads .cache/vendor-verified.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find py tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

prerequisites:
	@sh tools/prerequisites.sh >/dev/null

# A virtual environment that is already there is kept: making it again takes nothing away.
$(VENV)/.made: | prerequisites
	@echo "Virtual environment: $(VENV)"
	@"$$(sh tools/prerequisites.sh)" -m venv $(VENV)
	@touch $@

# One pip at a time in one environment: everything else waits for the first.
$(VENV)/.installed-test: requirements/start.txt | $(VENV)/.installed-start
$(VENV)/.installed-check $(VENV)/.installed-audit: | $(VENV)/.installed-test
$(VENV)/.installed-model: requirements/test.txt requirements/start.txt | $(VENV)/.installed-test

$(VENV)/.installed-%: requirements/%.txt | $(VENV)/.made
	@echo "Python packages: $<$(if $(filter start,$*), (90 MB to fetch))$(if $(filter test,$*), (130 MB to fetch))"
	@$(PY) -m pip install $(PIP_FLAGS) -r $< || { \
	  echo "error: pip could not install $<. $(if $(offline),This is an offline run: run \`make setup\` with a network \
	first.,Check the network and pip's index settings$(comma) then run the same command again.)" >&2; exit 1; }
	@touch $@

$(NODE_MODULES): package-lock.json package.json | prerequisites
ifeq ($(offline),)
	@echo "npm packages: package-lock.json (260 MB to fetch)"
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || { \
	  echo "error: npm could not install the packages: check the network and npm's registry settings, then run the same \
	command again." >&2; exit 1; }
else
	@npm ls >/dev/null 2>&1 || { echo "error: npm packages are missing or out of date and this is an offline run: run \
	\`make setup\` with a network first." >&2; exit 1; }
endif
	@touch $@

comma := ,

.PHONY: help start dev setup vendor practice test check site detect screenshots train-demo eval-demo eval-refine bench bench-imagery bench-memory bench-startup exact audit fuzz soak parity clean prerequisites
