# Penstock. `make help` lists the targets. The link lines below are the architecture.
#   B=DIR    where everything is built (default build)
#   V=1      show commands
#   SAN=1    with AddressSanitizer and UndefinedBehaviorSanitizer; SAN=thread: with ThreadSanitizer
# Nothing here runs a compiler before deps-build has had its chance to install one.
SHELL := /bin/bash
B ?= build
CC := clang-19
LLVM_CONFIG ?= llvm-config-19
VERSION := 0.1.0
PREFIX ?= /usr/local
LIBEXEC ?= $(PREFIX)/libexec/penstock
ETC ?= /etc/penstock
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wvla -Wimplicit-fallthrough -Wno-gnu-zero-variadic-macro-arguments $(if $(CI),-Werror)
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -I. -I$(B)/gen -DPENSTOCK_VERSION='"$(VERSION)"'
CPPFLAGS += -DPENSTOCK_LIBEXEC='"$(LIBEXEC)"' -DPENSTOCK_ETC='"$(ETC)"'
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
SANFLAGS_1 := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANFLAGS_thread := -fsanitize=thread
SANFLAGS = $(SANFLAGS_$(SAN))
ALL_CFLAGS = -std=gnu17 $(CPPFLAGS) $(CFLAGS) $(WARN) $(if $(SAN),$(SANFLAGS),$(HARDEN)) -pthread -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) $(if $(SAN),$(SANFLAGS),-pie -Wl,-z,relro,-z,now) -pthread

parts := base proto wasm compiler runtime ethosu guard triggers gateway cli
dir_base := base
dir_proto := proto
dir_wasm := sandbox/wasm
dir_compiler := sandbox/compiler
dir_runtime := sandbox/runtime
dir_ethosu := ethosu_bridge
dir_guard := guard
dir_triggers := triggers
dir_gateway := gateway gateway/api
dir_cli := cli

# main_*.c holds a main(); everything else of a part goes into its archive.
srcs = $(filter-out %/main.c,$(foreach d,$(dir_$(1)),$(wildcard $(d)/*.c $(d)/*.S)))
objs = $(patsubst %,$(B)/%.o,$(call srcs,$(1)))
lib = $(B)/lib$(1).a

LIBS_proto := -lsodium -ljansson -lm
LIBS_runtime := -lseccomp -ldl
LIBS_guard := -lseccomp
LIBS_compiler = $(shell $(LLVM_CONFIG) --ldflags --libs core analysis passes target x86 aarch64 --link-shared) -lseccomp
# Paho's socket calls go through triggers/nodelay.c, its debugging aids end in triggers/paho_lean.c.
ACKS := puback pubrec pubrel pubcomp
KEEPS := putPacket remove persistQueueEntry unpersistQueueEntry
WRAPS := connect recv writev poll close MQTTTime_sleep Thread_wait_sem Thread_lock_mutex Thread_unlock_mutex Thread_start MQTTProtocol_assignMsgId MQTTPacket_connack $(ACKS:%=MQTTPacket_send_%) $(KEEPS:%=MQTTPersistence_%) mymalloc myrealloc myfree StackTrace_entry StackTrace_exit
LIBS_triggers = $(WRAPS:%=-Wl,--wrap=%) -Wl,-u,__wrap_connect -Wl,-u,__wrap_mymalloc -Wl,-u,__wrap_MQTTPacket_send_puback -Wl,-u,__wrap_MQTTPacket_connack -Wl,-u,__wrap_MQTTPersistence_putPacket $(shell $(CC) -print-file-name=libpaho-mqtt3cs.a) -lssl -lcrypto -lmodbus
LIBS_gateway := -lwebsockets -luv -lsqlite3 -linih -lsystemd
LIBS_cli := -lcurl

# program: objects with main, parts from top to bottom, libraries
PROGRAMS := penstockd penstock-aot penstock-sandbox penstock-guard penstock
penstockd_parts := gateway triggers proto base
penstock-aot_parts := compiler wasm proto base
penstock-sandbox_parts := runtime proto base
penstock-guard_parts := guard proto base
penstock_parts := cli ethosu wasm proto base
penstockd_main := gateway/main.c
penstock-aot_main := sandbox/compiler/main.c
penstock-aot_ldflags := -Wl,--build-id=sha1
penstock-sandbox_main := sandbox/runtime/main.c
penstock-guard_main := guard/main.c
penstock-guard_ldflags := -Wl,--as-needed
penstock_main := cli/main.c

.DEFAULT_GOAL := all
all: $(PROGRAMS:%=$(B)/%) ## build the programs into build/

define program_rule
$(B)/$(1): $(B)/$($(1)_main).o $(foreach p,$($(1)_parts),$(call lib,$(p)))
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $$(ALL_LDFLAGS) $($(1)_ldflags) -o $$@ $$^ $$(foreach p,$($(1)_parts),$$(LIBS_$$(p)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

define lib_rule
$(call lib,$(1)): $(call objs,$(1))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@; ar rcsD $$@ $$^
endef
$(foreach p,$(parts),$(eval $(call lib_rule,$(p))))

$(B)/sandbox/compiler/%.c.o $(B)/tests/unit/compiler/%.c.o $(B)/tests/fuzz/compiler/%.c.o $(B)/tests/diff/%.c.o: \
	CPPFLAGS += $(shell $(LLVM_CONFIG) --cppflags 2>/dev/null)
# A trap's stack is walked by frame pointers, from the host's function that ended the guest on.
$(B)/sandbox/runtime/%.c.o: CFLAGS += -fno-omit-frame-pointer
$(B)/%.c.o: %.c | deps-build
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@
$(B)/%.S.o: %.S | deps-build
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

# The objects that know where things are installed are made anew when that changes.
$(B)/gen/paths: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBEXEC) $(ETC)' | cmp -s - $@ || echo '$(LIBEXEC) $(ETC)' >$@
$(B)/base/child.c.o $(B)/gateway/main.c.o: $(B)/gen/paths
FORCE:

# SQL files become rows of a C table
$(B)/gen/sql_%.h: gateway/sql/%.sql gateway/sql/embed.awk
	$(call say,SQL,$<)
	@mkdir -p $(@D)
	$(Q)awk -f gateway/sql/embed.awk $< > $@.part && mv $@.part $@
$(B)/gateway/registry.c.o $(B)/gateway/registry_db.c.o: $(B)/gen/sql_schema.h $(B)/gen/sql_statements.h
$(patsubst %.c,$(B)/%.c.o,$(wildcard gateway/journal*.c gateway/state*.c)): $(B)/gen/sql_state.h $(patsubst %,$(B)/gen/sql_journal_%.h,schema statements queries)

# Names of keys, as the kernel's header has them
$(B)/gen/key_names_rows.h: triggers/key_names.awk | deps-build
	$(call say,KEYS,$@)
	@mkdir -p $(@D)
	$(Q)echo '#include <linux/input-event-codes.h>' | $(CC) -E -dD - | awk -f $< >$@.part && mv $@.part $@
$(B)/triggers/key_names.c.o: $(B)/gen/key_names_rows.h

# ---- unit tests: tests/unit/PART/test_*.c, each a cmocka program, built with sanitizers ----
need_base := base
need_proto := proto base
need_wasm := wasm proto base
need_compiler := compiler wasm proto base
need_runtime := runtime proto base
need_ethosu := ethosu proto base
need_guard := guard proto base
need_triggers := triggers proto base
need_gateway := gateway triggers proto base
need_cli := cli ethosu wasm proto base
unit_srcs := $(wildcard tests/unit/*/test_*.c)
unit_bins := $(unit_srcs:%.c=$(B)/%)
define unit_rule
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.c.o $(foreach p,$(need_$(1)),$(call lib,$(p)))
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(foreach p,$(need_$(1)),$$(LIBS_$$(p))) -lcmocka
endef
$(foreach p,$(parts),$(eval $(call unit_rule,$(p))))
# A compiled module written by hand, for the tests of the runtime.
$(B)/tests/unit/runtime/guest.so: tests/unit/runtime/guest.c proto/aot_abi.h | deps-build
	$(call say,SO,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -I. -O1 -fno-omit-frame-pointer -fPIC -shared -nostdlib -fuse-ld=lld -o $@ $<
$(B)/tests/unit/runtime/test_serve $(B)/tests/unit/runtime/test_sched $(B)/tests/unit/runtime/test_jail: | $(B)/tests/unit/runtime/guest.so
$(B)/tests/unit/triggers/test_guard $(B)/tests/unit/triggers/test_outputs: | $(B)/penstock-guard
.SECONDARY:
unit-bins: $(unit_bins)

# ---- tests/tool/*.c: programs that end-to-end tests build and run ----
$(B)/tests/tool/%: $(B)/tests/tool/%.c.o $(call lib,wasm) $(call lib,proto) $(call lib,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_proto)

# ---- tests/spec: the WebAssembly test suite; beside penstock-aot, which it runs ----
$(B)/spec-run: $(patsubst %,$(B)/%.o,$(wildcard tests/spec/*.c)) $(call lib,runtime) $(call lib,proto) $(call lib,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_runtime) $(LIBS_proto)

# ---- tests/diff: random modules, node's results against ours ----
$(B)/diff-run: $(patsubst %,$(B)/%.o,$(wildcard tests/diff/*.c) tests/spec/store.c tests/spec/spectest.c) $(foreach p,compiler wasm runtime proto base,$(call lib,$(p)))
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_compiler) $(LIBS_runtime) $(LIBS_proto)

# ---- fuzz targets: tests/fuzz/PART/fuzz_*.c; `replay` links them with a driver instead of libFuzzer ----
fuzz_srcs := $(wildcard tests/fuzz/*/fuzz_*.c)
define fuzz_rule
$(B)/tests/fuzz/$(1)/%.replay: $(B)/tests/fuzz/$(1)/%.c.o $(B)/tests/fuzz/replay.c.o $(foreach p,$(need_$(1)),$(call lib,$(p)))
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(foreach p,$(need_$(1)),$$(LIBS_$$(p)))
$(B)/tests/fuzz/$(1)/%.fuzz: $(B)/tests/fuzz/$(1)/%.c.o $(foreach p,$(need_$(1)),$(call lib,$(p)))
	$$(call say,LINK,$$@)
	$$(Q)$(CC) $$(ALL_LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $$(foreach p,$(need_$(1)),$$(LIBS_$$(p)))
endef
$(foreach p,$(parts),$(eval $(call fuzz_rule,$(p))))
$(B)/tests/fuzz/%: WARN += -Wno-missing-prototypes
replay-bins: $(fuzz_srcs:%.c=$(B)/%.replay)
fuzz-bins: $(fuzz_srcs:%.c=$(B)/%.fuzz)

# ---- helpers and examples ----
tools_bins := $(B)/tools/demo_client $(patsubst %.c,$(B)/%,$(wildcard tests/e2e/*.c tests/attack/*.c tests/vm/*.c))
$(tools_bins): %: %.c.o $(B)/tools/mqtt.c.o $(call lib,proto) $(call lib,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_proto)
$(B)/tests/e2e/modbus_server: LIBS_proto += -lmodbus
tool-bins: $(tools_bins)

# sdk/README.md, "Compilers", says what the last two are for.
WASM_OPT := -O2 -mllvm -unroll-runtime=0 -mllvm -unroll-allow-partial=0
WASM_CC := clang-19 --target=wasm32-wasi $(WASM_OPT) -Wall -Wextra -Isdk/include
WASM_CXX := clang++-19 --target=wasm32-wasi $(WASM_OPT) -fno-exceptions -fno-rtti -std=c++20 -Wall -Wextra -Isdk/include
# Linked without -O: with it the driver runs wasm-opt where that is installed, and that removes the names of functions.
# (--no-wasm-opt of clang 19.1 leaves out the linking, too, and says nothing.)
wasm_build = $(Q)$(1) -c -o $@.o $< && $(filter-out -O% -W% -mllvm -unroll-%,$(1)) $(2) -Wl,--strip-debug -o $@ $@.o && rm $@.o
RUSTC := /usr/bin/rustc
example = $(B)/examples/$(1).wasm
example_bins := $(foreach e,overheat overheat-command overheat-cpp overheat-rust overheat-assemblyscript lamp,$(call example,$(e)))
examples: $(example_bins) ## the example functions, into build/examples
$(call example,overheat): examples/overheat/overheat.c examples/overheat/reading.h sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),-mexec-model=reactor)
$(call example,lamp): examples/lamp/lamp.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),-mexec-model=reactor)
$(call example,overheat-command): examples/overheat-command/overheat.c examples/overheat/reading.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC),)
$(call example,overheat-cpp): examples/overheat-cpp/overheat.cpp sdk/include/penstock.h | deps-check
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CXX),-mexec-model=reactor)
$(call example,overheat-rust): examples/overheat-rust/overheat.rs | deps-check
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(Q)$(RUSTC) --edition 2021 --target wasm32-wasi -O -C strip=symbols -o $@ $<
as_src := examples/overheat-assemblyscript
as_dir := $(B)/examples/assemblyscript
$(call example,overheat-assemblyscript): $(as_src)/overheat.ts $(as_dir)/node_modules/.done
	$(call say,WASM,$@)
	$(Q)cp $< $(as_dir)/ && cd $(as_dir) && node_modules/.bin/asc overheat.ts -o $(abspath $@) -O3 \
		--config node_modules/@assemblyscript/wasi-shim/asconfig.json
$(as_dir)/node_modules/.done: $(as_src)/package.json $(as_src)/package-lock.json | deps-check
	$(call say,NPM,$@)
	@mkdir -p $(as_dir)
	$(Q)cp $(as_src)/package.json $(as_src)/package-lock.json $(as_dir)/
	$(Q)cd $(as_dir) && npm ci --silent --no-audit --no-fund --no-update-notifier </dev/null && touch node_modules/.done

# ---- what people call ----
sub = +$(Q)$(MAKE) --no-print-directory
demo: deps-demo ## a day of readings through a signed function, in a minute (KEEP=1: stays up)
	$(sub) all $(call example,overheat) $(B)/tools/demo_client
	@B=$(B) tools/demo.sh
check: deps-check ## installs what the tests need and runs all of them
	+@B=$(B) MAKE="$(MAKE)" tests/run
check-spec: deps-check ## the WebAssembly 2.0 test suite (SPEC_DIR=../shared/spec BOUNDS=guard|check SPEC='i32 call')
	$(sub) $(B)/penstock-aot $(B)/spec-run
	@B=$(B) SPEC_DIR=$(SPEC_DIR) BOUNDS=$(BOUNDS) OPT=$(OPT) CPU=$(CPU) tests/spec/run.sh $(SPEC)
check-spec-arm64: deps-check ## the suite's code for 64-bit ARM, under qemu (packages qemu-user-static, mmdebstrap; SYSROOT= SPEC=)
	$(sub) $(B)/penstock-aot
	@B=$(B) SPEC_DIR=$(SPEC_DIR) BOUNDS=$(BOUNDS) OPT=$(OPT) CPU=$(CPU) SYSROOT=$(SYSROOT) tests/spec/arm64.sh $(SPEC)
check-%: deps-check
	+@B=$(B) MAKE="$(MAKE)" tests/run $*
lint: deps-check ## include direction, sizes, banned calls, layout
	+@B=$(B) MAKE="$(MAKE)" tests/run lint
FUZZ_SECS ?= 60
fuzz: deps-check ## every fuzz target for FUZZ_SECS=60 seconds each
	$(sub) B=$(B)/fuzz SAN=1 CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzz-bins
	@B=$(B) tools/fuzz.sh $(FUZZ_SECS)
chaos: deps-check ## SECS=600 of kill -9 and of hostile functions beside one that must miss nothing (RATE= SEED=)
	$(sub) all tool-bins
	@B=$(B) SECS=$(or $(SECS),600) tests/chaos/chaos.sh
fuzz-diff: deps-check ## N=1000 random modules from SEED=1, and C programs, by node and by us (BOUNDS=check); goes on where it stopped
	$(sub) $(B)/penstock-aot $(B)/penstock-sandbox $(B)/penstock $(B)/diff-run
	@B=$(B) tests/diff/run.sh $(or $(N),1000) $(or $(SEED),1)
install: all ## into DESTDIR and PREFIX=/usr/local
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(B)/penstock
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(B)/penstockd
	install -D -m 755 -t $(DESTDIR)$(LIBEXEC) $(B)/penstock-aot $(B)/penstock-sandbox $(B)/penstock-guard
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include sdk/include/penstock.h
	install -D -m 644 systemd/penstock.service $(DESTDIR)$(PREFIX)/lib/systemd/system/penstock.service
	sed -i 's|/usr/local|$(PREFIX)|g; s|/etc/penstock|$(ETC)|g' $(DESTDIR)$(PREFIX)/lib/systemd/system/penstock.service
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d systemd/60-penstock.rules
	[ -e $(DESTDIR)$(ETC)/penstock.conf ] || install -D -m 644 -t $(DESTDIR)$(ETC) etc/penstock.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/penstock README.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/penstock/doc doc/*.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/penstock/sdk sdk/README.md
	@[ -n "$(DESTDIR)" ] || printf '%s\n' '' 'Next, as root:' \
		'  adduser --system --group --no-create-home penstock' \
		'  for g in gpio input dialout; do adduser penstock $$g; done    # those that there are' \
		'  adduser YOU penstock                # whoever may use the command line' \
		'  editor $(ETC)/penstock.conf    # [mqtt] url = tcp://HOST:1883' \
		'  systemctl daemon-reload && udevadm control --reload && udevadm trigger -s leds' \
		'  systemctl enable --now penstock'
clean: ## removes what was built
	rm -rf $(B)
deps-build deps-demo deps-check deps-bench: deps-%:
	@tools/deps.sh $* $(B)
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

-include bench/*.mk tests/torture/torture.mk tests/vm/vm.mk tests/fake/fake.mk

.PHONY: all unit-bins replay-bins fuzz-bins tool-bins examples demo check lint fuzz chaos fuzz-diff install clean help \
	deps-build deps-demo deps-check deps-bench FORCE
-include $(shell find $(B) -path $(B)/bench/sources -prune -o -name sysroot -prune -o -name '*.d' -print 2>/dev/null)
