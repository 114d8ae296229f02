# Kiln: build, test, demo. `make help` lists the targets; `make demo` and `make test` need nothing but Swift.

SWIFT ?= swift
INSTALL ?= install
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
WARNINGS_AS_ERRORS ?= false

# One configuration for everything: tests run what is shipped, at its speed, and nothing is built twice.
BUILD_FLAGS ?= -c release
ifeq ($(WARNINGS_AS_ERRORS),true)
BUILD_FLAGS += -Xswiftc -warnings-as-errors
endif

KILN = .build/release/kiln
SOURCES = Package.swift Sources Tests

.PHONY: help
help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install the system libraries that are missing (apt, as root or with sudo).
	@Scripts/install-system-packages

.PHONY: build
build: setup ## Build the tool: .build/release/kiln.
	$(SWIFT) build $(BUILD_FLAGS) --product kiln

.PHONY: test
test: setup ## Build and run all fast tests.
	$(SWIFT) build $(BUILD_FLAGS) --build-tests
	$(SWIFT) test $(BUILD_FLAGS) --skip-build --disable-xctest

# More for it: SLOW="--only R8,R9 --scale 0.1 --seed 7".
.PHONY: test-slow
test-slow: ## Try the reliability promises, about 20 minutes, and print a table.
	@Scripts/install-system-packages strace
	$(SWIFT) build $(BUILD_FLAGS) --product kiln
	$(SWIFT) build $(BUILD_FLAGS) --product reliability
	.build/release/reliability $(SLOW)

.PHONY: demo
demo: build ## Inspect, convert, quantize and validate a real checkpoint.
	@KILN=$(KILN) Scripts/demo

.PHONY: check
check: ## Lint the format and check the links of the documentation.
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)
	@Scripts/check-links

.PHONY: format
format: ## Format all Swift sources in place.
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

.PHONY: install
install: ## Install the tool under PREFIX (and DESTDIR).
	$(SWIFT) build -c release --product kiln --static-swift-stdlib
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 755 $(KILN) "$(DESTDIR)$(BINDIR)/kiln"

.PHONY: uninstall
uninstall: ## Remove what install wrote.
	rm -f "$(DESTDIR)$(BINDIR)/kiln"

.PHONY: clean
clean: ## Remove everything that was built.
	rm -rf .build
