# Everything a person runs here. Needs Python 3.11+ and make; sets up the rest by itself.

export PYTHON ?= python3
export PORT ?= 8000
export SANDBOX_PORT ?= 8001

.PHONY: help demo test fuzz bench check .venv lock

help: ## say what there is to run
	@awk -F ':.*## ' '/^[a-z.]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv ## serve the portal with its sandbox; PORT=8000 SANDBOX_PORT=8001 change the ports
	@exec .venv/bin/python -m webapp.sandbox demo

# So many test files at a time: half of a test is waiting. What breaks things has the machine to itself, afterwards.
JOBS ?= 2

# QUICK=1: no browser but Chromium, nothing that takes minutes of real time.
export QUICK

test: .venv/dev.stamp tests/idp/.venv/stamp ## run all tests; QUICK=1 leaves out other browsers and minutes-long faults
	@sh .ci/setup.sh engines
	@.venv/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore tests/test_faults.py
	@$(if $(QUICK),,.venv/bin/python -m pytest tests/test_faults.py)

# `make fuzz REQUESTS=1000000`: as many requests as that, other ones at each run.
fuzz: .venv/dev.stamp ## send the portal whatever comes to mind, longer than the tests do
	@FUZZ_REQUESTS=$(or $(REQUESTS),200000) .venv/bin/python -m pytest tests/test_fuzz.py

bench: .venv/dev.stamp ## measure the portal beside a bare handler, in ratios; QUICK=1 takes a minute
	@PYTHONPATH=.:tests .venv/bin/python -m bench $(if $(QUICK),--quick)

check: .venv/dev.stamp ## run formatter, linter and type checker
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

# A stamp is written when its step has succeeded, so that an interrupted one is not taken for done.
.venv: .venv/runtime.stamp ## set up what the portal runs on

.venv/runtime.stamp: requirements.txt
	@sh .ci/setup.sh runtime

.venv/dev.stamp: .venv/runtime.stamp requirements-dev.txt
	@sh .ci/setup.sh dev

# Identity providers that are not ours, apart from everything else: what they are made with is theirs.
tests/idp/.venv/stamp: .venv/runtime.stamp tests/idp/requirements.txt tests/idp/package-lock.json
	@sh .ci/setup.sh providers

# `make lock LOCK=--upgrade` takes newer versions; without it only what pyproject.toml asks for changes.
compile = .venv/bin/uv pip compile --quiet $(LOCK) --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url

# npm writes the addresses of those who ask for money; a lock file holds versions and hashes only.
define without_funding
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
found = json.loads(path.read_text())
for package in found["packages"].values():
    package.pop("funding", None)
path.write_text(json.dumps(found, indent=2) + "\n")
endef
export without_funding

lock: .venv/dev.stamp tests/idp/.venv/stamp ## pin the dependencies of pyproject.toml anew; LOCK=--upgrade takes newer ones
	$(compile) pyproject.toml -o requirements.txt
	$(compile) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(compile) --group providers -o tests/idp/requirements.txt
	cd tests/idp && .venv/bin/npm --silent $(if $(LOCK),update,install) --package-lock-only
	@.venv/bin/python -c "$$without_funding" tests/idp/package-lock.json
