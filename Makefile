# make demo | test | lint | clean. The first call makes .venv and installs; later ones do not.
# PYTHON names the interpreter to build .venv with: make demo PYTHON=/opt/python3.12/bin/python3

PYTHON ?= python3.11 python3 python3.12 python3.13
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint lint-rules lint-format lint-types clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed-demo
	@$(BIN)/esrt-privacy assets fetch whisper-base whisper-tiny.en ge2e
	@$(BIN)/esrt-privacy reconstruct --out runs/demo

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: lint-rules lint-format lint-types

lint-rules: $(VENV)/.installed-test
	@$(BIN)/ruff check .

lint-format: $(VENV)/.installed-test
	@$(BIN)/ruff format --check .

lint-types: $(VENV)/.installed-test
	@$(BIN)/mypy esrt_privacy

clean:
	@rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

$(VENV)/.installed-demo: pyproject.toml | $(VENV)/.created
	@echo "Installing esrt-privacy into $(VENV): about 6 GB with PyTorch, some minutes."
	@$(PIP) install -e .
	@touch $@

# What the tests need contains what the demo needs.
$(VENV)/.installed-test: pyproject.toml | $(VENV)/.created
	@echo "Installing esrt-privacy and its tests into $(VENV): about 6 GB with PyTorch, some minutes."
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.created:
	@python=; \
	for candidate in $(PYTHON); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "esrt-privacy needs Python 3.11 or newer, none found as: $(PYTHON). Name one: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make environments: its venv or ensurepip is missing (Debian: apt-get install python3-venv)." >&2; \
	  exit 1; \
	fi; \
	"$$python" -m venv $(VENV)
	@touch $@
