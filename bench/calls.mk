# What calls cost in Wasm, against native ones.
calls_dir := $(B)/bench/calls

.PHONY: bench-calls
bench-calls: $(B)/penstock $(B)/penstock-aot $(B)/penstock-sandbox $(B)/bench/kernels/sealed $(calls_dir)/native $(calls_dir)/calls.wasm ## a call, a call_indirect and a host call in ns, against native ones
	@B=$(B) bench/calls/run.sh
$(calls_dir)/native: bench/calls/calls.c | deps-bench
	$(call say,CALLS,native)
	@mkdir -p $(@D)
	$(Q)$(CC) -O3 -std=gnu17 -Wall -Wextra -o $@ $<
$(calls_dir)/calls.wasm: bench/calls/calls.c | deps-bench
	$(call say,CALLS,wasm)
	@mkdir -p $(@D)
	$(Q)$(CC) $(kernels_flags_scalar) -O3 -std=gnu17 -Wall -Wextra -c -o $@.o $<
	$(Q)$(CC) --target=wasm32-wasi -o $@ $@.o
