# Everything a contributor or a newcomer runs: up, down, test, check, bench, soak, fmt, lock, docs.
PYTHON ?= python3
ARGS ?=
NAME ?=

# Containers often set this. Without bytecode every process compiles all that it loads, at each start.
unexport PYTHONDONTWRITEBYTECODE

# The environment may be a link to one that every OS user can enter; its real path is what counts.
BIN = $$(readlink -f .venv)/bin

.PHONY: up down test check check-gpu bench soak fmt lock docs screenshots

up:
	@$(PYTHON) tools/environment.py run
	@exec "$(BIN)/mlhub" up $(ARGS)

down:
	@exec "$(BIN)/mlhub" down $(ARGS)

test:
	@$(PYTHON) tools/test_machine.py
	@$(PYTHON) tools/environment.py test
	"$(BIN)/python" -m pytest $(ARGS)

check:
	@$(PYTHON) tools/environment.py test
	"$(BIN)/ruff" check
	"$(BIN)/ruff" format --check
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/python" -m pytest -q -m "not postgres and not stack and not browser" tests/core tests/broker tests/architecture tests/adapters

# For a machine with an NVIDIA driver: what NVML really says, held against the adapter.
check-gpu:
	@$(PYTHON) tools/environment.py test
	"$(BIN)/python" -m pytest tests/gpu/check_nvml.py $(ARGS)

# The pictures of the documents, from the browser tests.
screenshots:
	@$(PYTHON) tools/environment.py test
	MLHUB_SCREENSHOTS="$(CURDIR)/docs/images" "$(BIN)/python" -m pytest tests/browser $(ARGS)

bench:
	@$(PYTHON) tools/environment.py test
	@exec "$(BIN)/python" -m benchmarks.$(NAME) $(ARGS)

soak:
	@$(PYTHON) tools/environment.py test
	@exec "$(BIN)/python" -m benchmarks.soak $(ARGS)

fmt:
	@$(PYTHON) tools/environment.py test
	"$(BIN)/ruff" check --fix
	"$(BIN)/ruff" format

# The parts of the reference that are made from the program: settings and commands.
docs:
	@$(PYTHON) tools/environment.py test
	"$(BIN)/python" tools/reference.py

# Pins every package anew, for Python 3.11 to 3.13. The lists name no package index.
lock:
	@$(PYTHON) tools/environment.py test
	"$(BIN)/python" tools/lock.py
