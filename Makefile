# Everything a person runs here. Needs Python 3.11+ and make; sets up the rest by itself.

export PYTHON ?= python3
export PORT ?= 8000
export SANDBOX_PORT ?= 8001

.PHONY: demo test check bench lock .venv

demo: .venv
	@exec .venv/bin/python -m webapp.sandbox demo

test: .venv/dev.stamp
	@sh .ci/setup.sh engines
	@.venv/bin/python -m pytest

check: .venv/dev.stamp
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

# A stamp is written when its step has succeeded, so that an interrupted one is not taken for done.
.venv: .venv/runtime.stamp

.venv/runtime.stamp: requirements.txt
	@sh .ci/setup.sh runtime

.venv/dev.stamp: .venv/runtime.stamp requirements-dev.txt
	@sh .ci/setup.sh dev

# `make lock LOCK=--upgrade` takes newer versions; without it only what pyproject.toml asks for changes.
compile = .venv/bin/uv pip compile --quiet $(LOCK) --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml

lock: .venv/dev.stamp
	$(compile) -o requirements.txt
	$(compile) --group dev -c requirements.txt -o requirements-dev.txt
