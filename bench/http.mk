# HTTP: bench/http.
.PHONY: bench-http bench-triggers
bench-http: all $(B)/bench/hello.wasm | deps-bench ## request to reply under wrk, beside nginx with a file of the same size (BENCH_QUICK=1)
	@B=$(B) bench/http/run.sh $(if $(BENCH_QUICK),--quick)
bench-triggers: ## what starts functions: bench-http, then bench-gpio
	$(sub) bench-http
	$(sub) bench-gpio
$(B)/bench/hello.wasm: bench/http/hello.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),-mexec-model=reactor)
