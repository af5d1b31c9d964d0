# What compiling costs: from nothing, again, after a change.
compile_dir := $(B)/bench/compile

.PHONY: bench-recompile
bench-recompile: $(B)/penstock-aot $(compile_dir)/counter.wasm $(compile_dir)/synthetic.wasm $(B)/bench/programs/sqlite3.wasm ## compile times: cold, again, one function changed
	@B=$(B) bench/compile/run.sh counter=$(compile_dir)/counter.wasm sqlite3=$(B)/bench/programs/sqlite3.wasm synthetic=$(compile_dir)/synthetic.wasm
$(compile_dir)/counter.wasm: tests/e2e/functions/counter.c sdk/include/penstock.h | deps-bench
	$(call say,COMPILE,counter)
	@mkdir -p $(@D)
	$(Q)$(CC) --target=wasm32-wasi -mexec-model=reactor -O2 -Isdk/include -o $@ $<
$(compile_dir)/synthetic.c: bench/compile/synthetic.sh
	@mkdir -p $(@D)
	$(Q)$< 2400 >$@
$(compile_dir)/synthetic.wasm: $(compile_dir)/synthetic.c | deps-bench
	$(call say,COMPILE,synthetic)
	$(Q)$(CC) --target=wasm32-wasi -O1 -mbulk-memory -o $@ $<
