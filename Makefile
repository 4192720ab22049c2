# ChatUp's everyday commands. `make run` and `make test` need nothing but this folder and Rust;
# what else they use they install (as root on Debian) or name in one line.

CARGO ?= cargo
ARGS ?=

.PHONY: help run cluster test lint unit redis-server nginx client browser original deny bench bench-check bench-check-proof valgrind peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

run: ## Start everything in one process, without Redis: the chat at the printed address
	$(CARGO) run --release --locked -p chatup -- $(ARGS)

test: lint unit client browser ## Check everything, as CI does

lint: ## Formatting and clippy, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Programs and tests are built at once: apart, what they share would be built twice, with other features.
unit: redis-server nginx ## Rust: unit, simulation and black box tests
	$(CARGO) build --workspace --locked --bins --tests
	$(CARGO) test --workspace --locked
	CHATUP_WORKER_IO=epoll $(CARGO) test --workspace --locked --test chat --test bad_input --test soak

redis-server:
	@command -v redis-server >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq redis-server >/dev/null; } \
		|| { echo "this needs Redis: apt-get install redis-server"; exit 1; }

nginx:
	@command -v nginx >/dev/null && command -v curl >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq nginx curl >/dev/null; } \
		|| { echo "this needs Nginx: apt-get install nginx curl"; exit 1; }

cluster: redis-server ## Start Redis, two dispatchers and four workers here, to try out a cluster and its faults
	$(CARGO) run --release --locked -p chatup -- cluster $(ARGS)

client: ## TypeScript library and demo page: types, tests, and that the committed bundle is fresh
	@command -v npm >/dev/null || { echo "make client needs Node 20 or newer with npm: apt-get install nodejs npm"; exit 1; }
	cd client && npm ci --no-audit --no-fund && npm run check && npm test && npm run fresh

browser: unit client ## Real browsers, and clients of Socket.IO and PushStream by others, use the real program
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| { echo "make browser needs Chromium: apt-get install chromium"; exit 1; }
	@/usr/bin/python3 -c 'import websockets' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-websockets >/dev/null; } \
		|| { echo "make browser needs Python's websockets: apt-get install python3-websockets"; exit 1; }
	cd client && export CHATUP_BIN=$(CURDIR)/target/debug/chatup && npm run test:socketio && npm run test:pushstream && npm run test:browser

original: redis-server nginx ## The original's own page in Chromium (ORIGINAL: its examples/client, of a checkout; root, for port 80)
	$(CARGO) build --locked -p chatup
	cd client && npm ci --no-audit --no-fund && CHATUP_BIN=$(CURDIR)/target/debug/chatup npm run test:original

deny: ## Licences, sources and banned crates (cargo install cargo-deny)
	$(CARGO) deny check licenses bans sources

bench: ## Time the hot paths (criterion; ARGS: a name to filter by, --save-baseline, --baseline)
	$(CARGO) bench --locked -p chatup-bench --benches -- $(ARGS)

# Built apart from what it compares. Two revisions of the whole server: some ten minutes at first.
BENCH_CHECK = $(CARGO) run --release --locked -p chatup-bench --no-default-features --bin bench-check --
# What the proof is made with: any revision; WORK is the work tree.
REV ?= HEAD

bench-check: valgrind ## Is WORK slower than HEAD? (ARGS: --base REV --head REV --quick --only NAME --output FILE)
	$(BENCH_CHECK) $(ARGS)

bench-check-proof: valgrind ## Show that bench-check is quiet on equal revisions and finds a tenth more work (REV, ARGS)
	$(BENCH_CHECK) --base $(REV) --head $(REV) $(ARGS)
	$(BENCH_CHECK) --base $(REV) --head $(REV)+bench/slowdown.patch $(ARGS); \
		test $$? = 1 || { echo "bench-check did not find bench/slowdown.patch"; exit 1; }
	@echo "Quiet on equal revisions, and bench/slowdown.patch was found: as it should be."

valgrind:
	@command -v valgrind >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq valgrind >/dev/null; } \
		|| { echo "counting instructions needs valgrind: apt-get install valgrind"; exit 1; }

peers: ## Side by side with other servers: the tables of docs/PEERS.md (ARGS: --quick, --only, --servers, --rounds)
	$(CARGO) build --release --locked -p chatup -p chatup-loadgen -p chatup-bench
	target/release/peers $(ARGS)
