# Deadlines and overload, with functions that do nothing but use processor time.
sched_dir := $(B)/bench/sched

.PHONY: bench-sched
bench-sched: $(B)/penstock $(B)/penstock-aot $(B)/penstock-sandbox $(sched_dir)/sched $(sched_dir)/overload $(sched_dir)/burn.wasm ## deadlines kept beside functions that burn, and overload (BENCH_QUICK=1)
	@B=$(B) bench/sched/run.sh $(if $(BENCH_QUICK),--quick)

$(sched_dir)/burn.wasm: bench/sched/burn.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),-mexec-model=reactor)
$(sched_dir)/sched: $(patsubst %,$(B)/bench/sched/%.c.o,sched peer) $(call lib,proto) $(call lib,base)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^
$(sched_dir)/overload: $(patsubst %,$(B)/bench/sched/%.c.o,overload peer) $(foreach p,$(need_gateway),$(call lib,$(p)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(foreach p,$(need_gateway),$(LIBS_$(p)))
