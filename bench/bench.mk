# Benchmarks. Each prints a table for people and writes build/bench/NAME.json, one flat object of numbers.
bench_nodered := $(B)/bench/node-red
bench_tools := $(B)/bench/load $(B)/bench/native $(B)/bench/started

.PHONY: bench-path bench-idle bench-tools
bench-path: all bench-tools $(call example,overheat) $(bench_nodered)/.installed ## sensor message -> alert beside native C, Node-RED and mosquitto alone (BENCH_QUICK=1)
	@B=$(B) bench/path/run.sh $(if $(BENCH_QUICK),--quick)
bench-idle: all bench-tools $(call example,overheat) ## memory of an idle gateway, and time from its start to subscribed
	@B=$(B) bench/path/idle.sh
bench-tools: $(bench_tools)

$(B)/bench/load: $(patsubst %,$(B)/bench/path/%.c.o,load args mqtt procs) $(call lib,base)
$(B)/bench/started: $(patsubst %,$(B)/bench/path/%.c.o,started args mqtt) $(call lib,base)
$(B)/bench/load $(B)/bench/started:
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^

.SECONDARY: $(patsubst %,$(B)/bench/path/%.c.o,load args mqtt procs started native)

# What tells Wasm the function's imports and exports means nothing natively.
$(B)/bench/path/native.c.o: CPPFLAGS += -Isdk/include -Wno-ignored-attributes -Wno-unknown-attributes
$(B)/bench/native: $(B)/bench/path/native.c.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=connect -o $@ $^ -l:libpaho-mqtt3c.a

$(bench_nodered)/.installed: bench/path/nodered/package.json bench/path/nodered/package-lock.json | deps-bench
	$(call say,NPM,node-red)
	@mkdir -p $(@D)
	$(Q)cp $^ $(@D)/
	$(Q)cd $(@D) && npm ci --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error </dev/null
	$(Q)touch $@
