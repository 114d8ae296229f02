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
SOURCES = Package.swift Sources Tests Fuzz

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

.PHONY: test-docs
test-docs: setup ## Run every command of the README, Docs, Formats and --help, also those that take minutes.
	$(SWIFT) build $(BUILD_FLAGS) --build-tests
	KILN_SLOW_EXAMPLES=1 $(SWIFT) test $(BUILD_FLAGS) --skip-build --disable-xctest --filter DocumentationTests

# Each sanitizer has its own build folder. What it must not report stands in Tests/Sanitizers, with the reason.
SANITIZE_asan = --sanitize address
SANITIZE_tsan = --sanitize thread
# swiftc has no such sanitizer here, so this is for C alone, where a find is a trap.
SANITIZE_ubsan = -Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined
SUPPRESSIONS = suppressions=$(CURDIR)/Tests/Sanitizers
# ThreadSanitizer would end a process that has a find with 66, which is an exit code of the tool.
SANITIZER_OPTIONS = ASAN_OPTIONS=$(SUPPRESSIONS)/address.supp \
	LSAN_OPTIONS=$(SUPPRESSIONS)/leak.supp:print_suppressions=0 \
	TSAN_OPTIONS=$(SUPPRESSIONS)/thread.supp:exitcode=99:atexit_sleep_ms=0

.PHONY: asan tsan ubsan
asan: ## Run the fast tests under AddressSanitizer.
tsan: ## Run the fast tests under ThreadSanitizer.
ubsan: ## Run the fast tests under UndefinedBehaviorSanitizer, which is about the kernels in C.
asan tsan ubsan: setup
	$(SWIFT) build $(BUILD_FLAGS) $(SANITIZE_$@) --scratch-path .build-$@ --build-tests
	KILN_SANITIZER=$@ $(SANITIZER_OPTIONS) $(SWIFT) test $(BUILD_FLAGS) \
		$(SANITIZE_$@) --scratch-path .build-$@ --skip-build --disable-xctest

.PHONY: coverage
coverage: setup ## Tell how much of the parsers, the writers and verify the fast tests reach.
	@SWIFT=$(SWIFT) Scripts/coverage

# More for it: MUTATE="--only router-*" or MUTATE="--every 1" for all faults, which takes hours.
.PHONY: mutate
mutate: setup ## Plant a tenth of the faults of Scripts/mutations.txt in a copy, and print which tests notice them.
	@SWIFT=$(SWIFT) Scripts/mutate $(or $(MUTATE),--every 10)

.PHONY: fuzz
fuzz: setup ## Fuzz all readers: FUZZ_RUNS executions of each of FUZZ_TARGETS.
	@SWIFT=$(SWIFT) Scripts/fuzz

.PHONY: fuzz-smoke
fuzz-smoke: setup ## Fuzz all readers for a few minutes.
	@SWIFT=$(SWIFT) FUZZ_RUNS=$${FUZZ_RUNS:-50000} Scripts/fuzz

# More for it: SLOW="--only R8,R9 --scale 0.1 --seed 7".
.PHONY: test-slow
test-slow: ## Try the reliability promises, about 40 minutes, print a table, and fuzz all readers for a while.
	@Scripts/install-system-packages strace
	$(SWIFT) build $(BUILD_FLAGS) --product kiln
	$(SWIFT) build $(BUILD_FLAGS) --product reliability
	.build/release/reliability $(SLOW)
	@$(MAKE) --no-print-directory fuzz-smoke

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
	rm -rf .build .build-*
