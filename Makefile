# The two commands of the README are `make demo` and `make test`; both set up what they need and are quick the second time.
# Java takes its encoding from the locale; a machine without one would garble what is not ASCII.
# Gradle's workers leave files in Java's temporary folder.
GRADLE = mkdir -p build/tmp && LC_ALL=C.UTF-8 GRADLE_OPTS="$$GRADLE_OPTS -Djava.io.tmpdir=build/tmp" gradle --no-daemon --console=plain --quiet

# The tests run on as many cores as there are, four at most; who is done takes over half of what another has left.
SIDE_BY_SIDE = -n auto --maxprocesses=4 --dist worksteal

.PHONY: setup demo test test-extra lint check bench lock clean

setup:
	@tools/setup.sh run

demo: setup
	@.venv/bin/python examples/demo.py

# What matters for trust runs once more as a user without rights, where this one is root; it prints what differs.
test:
	@tools/setup.sh test
	.venv/bin/python -m pytest -q $(SIDE_BY_SIDE) --junitxml=build/tests.xml
	.venv/bin/python tests/unprivileged.py
	$(GRADLE) test

# Helm 3 and 4, which the library is held against, are built by Go once and kept in ~/.cache/towline-tests.
test-extra:
	@tools/setup.sh test
	@command -v go > /dev/null || echo '*** Go is not on PATH: unless Helm 3 and 4 were built before, the Helm library is NOT held against them ***' >&2
	.venv/bin/python -m pytest -q $(SIDE_BY_SIDE) -m extra
	.venv/bin/python tests/unprivileged.py --all

lint:
	@tools/setup.sh test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/mypy --platform darwin --cache-dir .mypy_cache/darwin engine/towline
	$(GRADLE) lint

check: lint test

bench:
	@tools/setup.sh test
	@.venv/bin/python tests/bench/image_copy.py --json build/bench-image-copy.json
	@.venv/bin/python tests/bench/startup.py
	@.venv/bin/python tests/bench/edits.py
	@.venv/bin/python tests/bench/gitops.py
	@.venv/bin/python tests/bench/isolation.py

# What the engine and the demo run with, and what the tests need besides: the second lock holds the first one's versions.
UV = uv
COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group build --extra helm

lock:
	$(COMPILE) -o requirements.lock
	$(COMPILE) --group dev --extra fast --extra github-app --extra validate -c requirements.lock -o requirements-test.lock

clean:
	rm -rf .venv build .gradle .pytest_cache .mypy_cache .ruff_cache .hypothesis
