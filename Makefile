GO       ?= go
LINTER   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
N        ?= 2000000
FUZZTIME ?= 30s
TENANTS  ?= 10000
SOAK     ?= 10m

.DEFAULT_GOAL := help
.PHONY: help demo build test test/race lint fmt bench fleet soak fuzz prove chaos limits pools contend outliers neighbour gormsuite cover

help: ## show the targets
	@grep -hE '^[a-z/]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: ## run the sample app with its own PostgreSQL (PORT=9000, DATA=dir to keep the data); Ctrl-C ends it
	@mkdir -p bin && $(GO) build -o bin/echo-app ./examples/echo-app
	@exec bin/echo-app demo $(if $(PORT),--port '$(PORT)') $(if $(DATA),--data '$(DATA)')

build: ## compile everything
	$(GO) build ./...

test: ## run all tests; they find PostgreSQL, or fetch it, and start it themselves
	$(GO) test ./...

test/race: ## the same with the race detector
	$(GO) test -race -timeout 20m ./...

lint: ## vet, staticcheck, import floors, format
	$(GO) run $(LINTER) run ./...

fmt: ## format the sources
	$(GO) run $(LINTER) fmt ./...

bench: ## measure the plugin against plain GORM and draw docs/bench.svg (ten minutes or less)
	$(GO) run ./tests/bench -svg docs/bench.svg

fleet: ## measure creating, migrating and examining TENANTS (10000) tenants, against loops by hand
	$(GO) run ./tests/fleetbench -tenants $(TENANTS)
	$(GO) run ./tests/migratebench -tenants $(TENANTS)
	$(GO) run ./tests/doctorbench -tenants $(TENANTS)

soak: ## serve TENANTS (10000) tenants for SOAK (10m), and fail if memory or anything else grows
	$(GO) run ./tests/soak -tenants $(TENANTS) -for $(SOAK)

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^(.*)/[^/]*:func (.*)|\1 \2|' | sort -u | \
	while read -r dir name; do \
		echo "== $$dir $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null || exit 1; \
	done

prove: ## prove the isolation with N (2000000) random operations on each PostgreSQL version
	$(GO) test ./tests/isolation -run TestProve -timeout 0 -v -args -prove.n=$(N) -prove.tenants=200

chaos: ## kill, pause and empty a Redis under load, and measure who waits
	GORMTENANCY_CHAOS=1 $(GO) test -count=1 -v -run TestOutages ./registry/rediscache

limits: ## hold 1,000 tenants to shared limits on 3 processes, and kill, pause and start Redis under load (LIMITS=-short)
	$(GO) run ./tests/limitbench -strict $(LIMITS)

pools: ## 500 callers of 2,000 tenants within a budget of 20 connections, and a backend's memory over TENANTS (10000), watched from the server
	$(GO) test -count=1 -v -timeout 30m ./tests/pools -args -pools.tenants=2000 -pools.goroutines=500 -pools.budget=20 -pools.touched=$(TENANTS) -pools.retire=1000

contend: ## 100 processes' worth of creators, deleters, archivers and runners on the same tenants
	$(GO) test -race -count=1 -v -timeout 20m ./registry -run TestContention -args -registry.processes=100 -registry.operations=20

outliers: ## judge the outlier detector on simulated fleets, beside a fixed threshold and three sigma (SEEDS=tune, or judge)
	$(GO) run ./tests/outlierbench -seeds $(if $(SEEDS),$(SEEDS),judge)

neighbour: ## measure what a noisy tenant costs its neighbours, without limits and with
	$(GO) run ./tests/neighbourbench

gormsuite: ## run GORM's own tests with and without the plugin (GORM_SRC=checkout of GORM)
	$(GO) run ./tests/gormsuite $(if $(GORM_SRC),-src '$(GORM_SRC)')

cover: ## test coverage, as cover.out and cover.html
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out | tail -1
	$(GO) tool cover -html=cover.out -o cover.html
