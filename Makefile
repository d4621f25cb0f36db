# The course's commands; `make` lists them. Each sets up what it needs once: the second call starts at once.
# Needs Python 3.11 or newer, GNU make 3.81 or newer and, the first time, a network.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
COMPILERS := $(VENV)/.compilers
MARP := slides/node_modules/.bin/marp
DECKS := $(patsubst slides/%.md,slides/build/%,$(wildcard slides/week*.md))

# An environment holds absolute paths. In a folder that was copied or moved it counts as not there.
MOVED := $(shell test "$$(cat $(VENV)/.place 2>/dev/null || pwd -P)" = "$$(pwd -P)" || echo yes)
ifeq ($(MOVED),yes)
.PHONY: $(CORE)
endif

.DEFAULT_GOAL := help
.PHONY: help lab demo compilers test test-fast bench zoo experiments notebooks slides

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /make \1@/p' Makefile | awk -F@ '{ printf "%-16s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------------------------------------- for learners

lab: $(CORE) ## open the course in JupyterLab; LAB_ARGS="--no-browser --port 8899" is passed on
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/week01_measure_first.ipynb \
	    --ServerApp.kernel_websocket_connection_class=course_lib.widgets.prompt_connection.PromptConnection \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS)

demo: $(CORE) ## show the dashboards with Voilà and warm kernels; DEMO_ARGS="--no-browser --port 8866" is passed on
	$(PY) -m voila --Voila.config_file_paths=notebooks/dashboards $(DEMO_ARGS) notebooks/dashboards

notebooks: $(CORE) ## run every notebook from top to bottom; the executed copies go to runs/notebooks
	$(PY) -m nbconvert --to notebook --execute --output-dir runs/notebooks \
	    $(wildcard notebooks/*.ipynb notebooks/dashboards/*.ipynb)

compilers: $(COMPILERS) ## install the compilers of weeks 7 and 8: OpenVINO, LiteRT, ExecuTorch, Core ML and TensorRT for RTX (2 GB)

zoo: $(CORE) ## train the shipped models again; resumes after an interruption; ZOO_ARGS is passed on
	$(PY) -m course_lib.pipelines.zoo $(ZOO_ARGS)

experiments: $(CORE) ## run what is missing of the distillation study and print it; EXPERIMENTS_ARGS is passed on
	$(PY) -m course_lib.pipelines.distillation_study $(EXPERIMENTS_ARGS)

# -------------------------------------------------------------------------------------------- for developers

define check
$(PY) -m ruff check
$(PY) -m ruff format --check
$(PY) -m mypy
endef

# The quick tests run in two processes. The slow ones have the machine to themselves: pages in the browser have
# time limits. TEST_ARGS may name tests of one kind only, and pytest says by status 5 that it found none.
pytest := $(PY) tests/offline.py $(PY) -m pytest
quick := -m "not slow" -n 2 --dist worksteal

# CI_COMPILERS=1 turns a compiler that is missing into a failure; else its tests are left out.
test: $(DEV) $(COMPILERS) ## check style and types, then run all tests with the network off; TEST_ARGS is passed to pytest
	$(PY) -m benchmarks.chromium --install || test "$$CI" != true
	$(check)
	CI_COMPILERS=1 $(pytest) $(quick) $(TEST_ARGS)$(if $(TEST_ARGS), || test $$? = 5)
	CI_COMPILERS=1 $(pytest) -m slow $(TEST_ARGS)$(if $(TEST_ARGS), || test $$? = 5)

test-fast: $(DEV) ## the same without the slow tests, the browser and the compilers: under two minutes
	$(check)
	$(pytest) $(quick) $(TEST_ARGS)

bench: $(DEV) ## run every benchmark and record its result with this machine; BENCH_ARGS="--quick" is passed on
	$(PY) -m benchmarks.chromium --install
	$(PY) -m benchmarks $(BENCH_ARGS)

slides: $(addsuffix .html,$(DECKS)) $(addsuffix .pdf,$(DECKS)) ## build the slide decks to slides/build (needs Node.js and Chromium)

# --------------------------------------------------------------------------------------------------- set-up

# pip leaves a file half written when it is killed. So a mark says that an installation has begun; while it is
# there, what has no RECORD is thrown away and every package is put in anew.
define install
@if [ -e $(VENV)/.unfinished ]; then \
    echo "The last installation did not finish, so every package is put in anew."; \
    for folder in $(VENV)/lib/python*/site-packages/*.dist-info; do \
        [ -e "$$folder/RECORD" ] || rm -rf "$$folder"; \
    done; \
    again=--force-reinstall; \
fi; \
touch $(VENV)/.unfinished && \
$(PY) -m pip install --disable-pip-version-check $$again $(1) && \
rm $(VENV)/.unfinished
endef

# JupyterLab would open with a question about news from the internet.
NO_NEWS := jupyterlab.labextensions disable @jupyterlab/apputils-extension:announcements

$(CORE): pyproject.toml constraints.txt
	@if [ -n "$(MOVED)" ] || [ -e $(VENV)/.making ] || \
	    ! $(PY) -c "import pip, sys; assert sys.version_info >= (3, 11)" 2>/dev/null; then \
	    $(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { \
	        echo "The course needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing):" \
	            "install one and name it, for example: make $(or $(MAKECMDGOALS),lab) PYTHON=python3.12" >&2; exit 1; }; \
	    rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.making && \
	    { $(PYTHON) -m venv $(VENV) || { echo "Python could not make an environment in $(VENV); on Debian and Ubuntu" \
	        "the package python3-venv is missing: install it and call make again." >&2; exit 1; }; } && \
	    rm $(VENV)/.making; \
	fi
	$(call install,-c constraints.txt -e .)
	@$(PY) -m $(NO_NEWS) >/dev/null 2>&1 || true
	@pwd -P > $(VENV)/.place && touch $@

$(DEV): $(CORE)
	$(call install,-c constraints.txt -e ".[dev]")
	@touch $@

$(COMPILERS): $(CORE) compilers.txt
	$(call install,--no-deps -r compilers.txt)
	@touch $@

$(MARP): slides/package.json slides/package-lock.json
	@command -v npm >/dev/null || { echo "Building the slides needs Node.js 18 or newer with npm:" \
	    "install it from your system's packages and call make slides again." >&2; exit 1; }
	cd slides && npm ci --no-audit --no-fund
	@touch $@

DRAWN := slides/figures/.drawn
$(DRAWN): $(CORE) slides/figures.py slides/runtime_figures.py slides/recording.py $(wildcard slides/recorded/*.json course_lib/widgets/*chart*.py)
	$(PY) -m slides.figures
	@touch $@

DECK_NEEDS := slides/theme.css $(DRAWN) $(MARP)
MARP_ARGS := --no-stdin --theme-set slides/theme.css --allow-local-files

slides/build/%.html: slides/%.md $(DECK_NEEDS)
	@mkdir -p $(@D)/figures && cp slides/figures/*.svg $(@D)/figures
	$(MARP) $(MARP_ARGS) -o $@ $<

slides/build/%.pdf: slides/%.md $(DECK_NEEDS)
	@mkdir -p $(@D)
	chromium="$$($(PYTHON) -m benchmarks.chromium)" && CHROME_PATH="$$chromium" $(MARP) $(MARP_ARGS) --pdf-notes -o $@ $<
