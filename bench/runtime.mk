# What a sandbox costs: bench/runtime.
runtime_dir := $(B)/bench/runtime
runtime_guests := empty json calls grow dirty2 dirty16 dirty256
runtime_cc := clang-19 --target=wasm32-wasi -O2 -fno-unroll-loops -Wall -Wextra -Isdk/include -I.

.PHONY: bench-runtime runtime-tools
bench-runtime: $(B)/penstock $(B)/penstock-aot $(B)/penstock-sandbox runtime-tools | deps-bench ## a fresh sandbox: instantiate, call, tear down, beside node; sleepers; workers (RUNTIME_ROUNDS=5 BENCH_QUICK=1)
	@B=$(B) RUNTIME_ROUNDS=$(RUNTIME_ROUNDS) bench/runtime/run.sh $(if $(BENCH_QUICK),--quick)
tool-bins: $(runtime_dir)/processes $(runtime_dir)/calls.wasm # for tests/e2e/sleepers.sh
runtime-tools: $(runtime_dir)/events $(runtime_dir)/processes $(runtime_guests:%=$(runtime_dir)/%.wasm)

$(runtime_dir)/%.wasm: bench/runtime/guest/%.c bench/runtime/guest/json.h sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(runtime_cc),-mexec-model=reactor)
# By Wasm pages of memory: 128 KiB, 1 MiB, 16 MiB.
$(runtime_dir)/dirty%.wasm: bench/runtime/guest/dirty.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(runtime_cc),-mexec-model=reactor -Wl$(,)--initial-memory=$$(($* * 65536)))
, := ,
runtime_libs := $(foreach p,runtime proto base,$(call lib,$(p)))
$(runtime_dir)/events: $(patsubst %,$(B)/bench/runtime/%.c.o,main events) $(runtime_libs)
$(runtime_dir)/processes: $(patsubst %,$(B)/bench/runtime/%.c.o,processes events) $(runtime_libs)
$(runtime_dir)/events $(runtime_dir)/processes:
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_runtime) $(LIBS_proto)
