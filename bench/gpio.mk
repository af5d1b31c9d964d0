# GPIO: bench/gpio.
.PHONY: bench-gpio
bench_gpio := $(B)/bench/gpio/loop $(B)/bench/gpio/edges $(B)/bench/gpio/level.wasm $(B)/bench/gpio/start.wasm
bench-gpio: all $(bench_gpio) ## edge to function and to output, beside a bare poll loop, in the VM (BENCH_QUICK=1 VM_KERNEL=)
	@B=$(B) bench/gpio/run.sh $(if $(BENCH_QUICK),--quick)
$(B)/bench/gpio/loop $(B)/bench/gpio/edges: %: %.c.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^
$(B)/bench/gpio/%.wasm: bench/gpio/%.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),-mexec-model=reactor)
