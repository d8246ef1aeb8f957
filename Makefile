# Everything here works on a fresh machine with Python 3.11 or later and make: each target sets up
# what it needs in .venv first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
DRIVER := $(VENV)/.installed-browser
GRADER := $(VENV)/.installed-grading
PAGES  := $(VENV)/.installed-site
NBVAL  := --nbval-lax --nbval-current-env --nbval-cell-timeout=300
# What a tensor gives back is kept for the next one, and not fetched anew from the system: a third of the time of some
# lessons. These are names of glibc; other systems do not read them.
KEPT   := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296

.PHONY: help install demo html site lessons slides test test-twice test-browser test-faults test-grading lint lab bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --editable '.[notebooks,images,evaluation,dev]'
	touch $@

$(DRIVER): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[notebooks,images,evaluation,dev,browser,site]'
	touch $@

$(PAGES): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[notebooks,images,evaluation,dev,site]'
	touch $@

$(GRADER): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[notebooks,images,evaluation,dev,grading]'
	touch $@

install: $(READY)  ## create .venv and install the library with its tools

demo: $(READY)  ## train a flow map on the checkerboard (a hundred CPU seconds), print its table, draw its picture
	$(BIN)/flowmap-edu demo

html: $(READY)  ## the lessons as pages in html/, each picture with its words
	$(BIN)/jupyter nbconvert --to html --template lesson --TemplateExporter.extra_template_basedirs=docs/nbconvert --output-dir html tutorials/*.ipynb

slides: $(READY)  ## three lectures as pages in html/slides/ that need no network (reveal.js and KaTeX come from npm, once)
	$(BIN)/python docs/make_slides.py

site: $(PAGES)  ## lessons, reference and all pages as one folder, site/, that needs no network (KaTeX comes from npm, once)
	OMP_NUM_THREADS=1 $(BIN)/python docs/site/make_site.py

lessons: $(READY)  ## run the lessons that have changed, and store what they show
	OMP_NUM_THREADS=1 $(BIN)/python docs/make_lessons.py

lint: $(READY)  ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python --warnings

test: lint  ## lint, then every test, then every notebook with short trainings
	$(KEPT) $(BIN)/pytest -n 2 --dist worksteal --durations=20
	$(KEPT) FLOWMAP_EDU_QUICK=1 OMP_NUM_THREADS=1 $(BIN)/pytest $(NBVAL) -n 2 --dist loadscope --durations=20 tutorials

test-twice: $(READY)  ## run every cell of every lesson twice in a row (some ten minutes)
	FLOWMAP_EDU_QUICK=1 OMP_NUM_THREADS=1 $(BIN)/python tests/twice.py

test-browser: $(DRIVER)  ## move every slider by keys in JupyterLab and on static pages, read the site (needs chromium)
	@command -v chromium >/dev/null || { echo "make test-browser: chromium is missing: apt-get install chromium" >&2; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal tests/browser

test-faults: $(READY)  ## kill 200 trainings at random moments and resume them (an hour)
	FLOWMAP_EDU_FAULTS=200 $(BIN)/pytest -n 2 tests/test_faults.py

test-grading: $(GRADER)  ## grade sixty submissions twice, and every assignment with nbgrader too (half an hour)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python tests/grading_sixty.py --twice
	FLOWMAP_EDU_NBGRADER=all OMP_NUM_THREADS=1 $(BIN)/pytest tests/test_nbgrader.py

lab: $(READY)  ## open the first lesson in JupyterLab
	$(BIN)/flowmap-edu lab

bench: $(READY)  ## measure every table of docs/results.md (some ten CPU hours; JAX's rows where it is installed)
	$(BIN)/python tests/benchmark.py
	$(BIN)/python tests/benchmark_images.py

clean:  ## remove the environment and the runs
	rm -rf $(VENV) runs
