# The two commands of the README are `make demo` and `make test`. Both install what they need, and
# are quick the second time.

# Java takes its encoding from the locale; without one, text that is not ASCII would be garbled.
# Gradle's workers leave files in Java's temporary folder, so that is in build/.
GRADLE_ENV = LC_ALL=C.UTF-8 GRADLE_OPTS="$$GRADLE_OPTS -Djava.io.tmpdir=build/tmp"
GRADLE = mkdir -p build/tmp && $(GRADLE_ENV) gradle --no-daemon --console=plain --quiet

# The tests run on all cores, at most four. A worker that is done takes half of another one's rest.
SIDE_BY_SIDE = -n auto --maxprocesses=4 --dist worksteal

.PHONY: setup demo test test-extra lint check bench dist lock clean

setup:
	@tools/setup.sh run

demo: setup
	@.venv/bin/python examples/demo.py

# If this user is root, the tests that matter for trust run again as a user without rights; outcomes
# that differ are printed.
test:
	@tools/setup.sh test
	.venv/bin/python -m pytest -q $(SIDE_BY_SIDE) --junitxml=build/tests.xml
	.venv/bin/python tests/unprivileged.py
	$(GRADLE) test

# The Helm library is compared with Helm 3 and 4. Go builds these once and keeps them in
# ~/.cache/towline-tests.
test-extra:
	@tools/setup.sh test
	@command -v go > /dev/null || echo '*** Go is not on PATH: unless Helm 3 and 4 were built' \
		'before, the Helm library is NOT compared with them ***' >&2
	.venv/bin/python -m pytest -q $(SIDE_BY_SIDE) -m extra
	.venv/bin/python tests/unprivileged.py --all

lint:
	@tools/setup.sh test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/shellcheck resources/towline/engine.sh tools/setup.sh
	.venv/bin/mypy
	.venv/bin/mypy --platform darwin --cache-dir .mypy_cache/darwin engine/towline
	$(GRADLE) lint

check: lint test

bench:
	@tools/setup.sh test
	@.venv/bin/python tests/bench/image_copy.py --json build/bench-image-copy.json
	@.venv/bin/python tests/bench/startup.py
	@.venv/bin/python tests/bench/delivery.py
	@.venv/bin/python tests/bench/bridge.py
	@.venv/bin/python tests/bench/edits.py
	@.venv/bin/python tests/bench/gitops.py
	@.venv/bin/python tests/bench/isolation.py

# The files of a release in dist/. ENGINE_URL=https://... leaves the engine out of the library, which
# then names that URL.
dist: setup
	@.venv/bin/python -m tools.dist --engine-url "$(ENGINE_URL)"

# Two lock files: packages of the engine and the demo, and packages of the tests. The second has the
# versions of the first.
UV = uv
COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --group build --extra helm

lock:
	$(COMPILE) -o requirements.lock
	$(COMPILE) --group dev --extra fast --extra github-app --extra validate -c requirements.lock \
		-o requirements-test.lock

clean:
	rm -rf .venv build dist .gradle .pytest_cache .mypy_cache .ruff_cache .hypothesis
