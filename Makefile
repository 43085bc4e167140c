# One target a task. `make demo` and `make test` set up all they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo test check lint types contracts coverage judges test-judges test-faults kubernetes test-kubernetes conformance conformance-registry check-conformance-registry bench docs recording lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(STAMP)  ## install Towpath and its locked dependencies into .venv

$(STAMP): requirements/lock.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## run the whole loop, narrated, in about half a minute
	$(BIN)/towpath demo $(DEMO)

test: $(STAMP)  ## run the tests that need Python and git alone
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not judge and not faults and not kubernetes" $(TESTS)

check: lint types contracts coverage  ## the full gate

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports
	$(BIN)/python tools/size_gate.py

coverage: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not judge and not faults and not kubernetes" --cov --cov-report=term --cov-fail-under=85

judges: $(STAMP)  ## build crane, buildkitd, buildx and cosign for the tests, once (needs Go; about 5 minutes of one core)
	$(BIN)/python tests/judges/build.py

# What of these is missing is reported as not run, or with TOWPATH_REQUIRE_JUDGES=1 as failed; daemons need root.
test-judges: $(STAMP)  ## the tests that need foreign programs (Debian: docker-registry skopeo podman buildah runc containerd docker.io prometheus; Go builds the rest)
	$(BIN)/python -m pytest -m judge

test-faults: $(STAMP)  ## kill -9 at arbitrary moments, a full disk, a lost network
	$(BIN)/python -m pytest -m faults

kubernetes: $(STAMP)  ## build the real control plane and kubelet for the tests, once (needs Go; about 9 minutes of one core)
	$(BIN)/python tests/kubernetes/build.py

# Pods really run when root has Debian's containerd, runc, containernetworking-plugins and iproute2; else those tests are
# reported as not run, or with TOWPATH_REQUIRE_JUDGES=1 as failed. On a cluster of yours runs tests/contract/resource_client.
test-kubernetes: $(STAMP) $(if $(KUBECONFIG),,kubernetes)  ## judge by a real Kubernetes: ours, or KUBECONFIG=… yours
	$(BIN)/python -m pytest -m kubernetes tests/contract tests/kubernetes

conformance: $(STAMP) kubernetes  ## run the contract on all clusters and write docs/conformance.md from the results
	env -u KUBECONFIG $(BIN)/python -m pytest tests/contract tests/kubernetes --conformance docs/conformance.md

conformance-registry: $(STAMP)  ## examine the registry, and Debian's docker-registry beside it; writes its part of the same document
	$(BIN)/python -m pytest tests/conformance --conformance docs/conformance.md

check-conformance-registry: $(STAMP)  ## the same, but fail where the document differs from what was found
	$(BIN)/python -m pytest tests/conformance --check-conformance docs/conformance.md

bench: $(STAMP)  ## measure; writes the tables of docs/performance.md (buildah is compared when present)
	$(BIN)/python -m bench

lock: $(STAMP)  ## resolve the dependencies again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --output-file requirements/lock.txt pyproject.toml requirements/dev.in

clean:  ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .hypothesis

docs: $(STAMP)  ## write docs/commands.md from the commands' own help
	$(BIN)/python tools/generate_commands.py

recording: $(STAMP)  ## write docs/demo.md from a run of the demo
	$(BIN)/python tools/record_demo.py
