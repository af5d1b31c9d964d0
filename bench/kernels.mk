# Thirty kernels, natively, compiled by us from three kinds of Wasm, and by node's engine.
# VARIANT: what clang gets. Wasm is linked without -O: with it the driver would run wasm-opt where that is installed.
kernels_dir := $(B)/bench/kernels
kernels_srcs := $(wildcard bench/kernels/*.c)
kernels_cc = $(Q)$(CC) -O3 -std=gnu17 -I. -Wall -Wextra -MMD -MP
kernels_wasm := scalar default simd
kernels_flags_native :=
kernels_flags_host := -march=native -ffp-contract=off
kernels_flags_scalar := --target=wasm32-wasi -mllvm -unroll-runtime=0 -mllvm -unroll-allow-partial=0
kernels_flags_default := --target=wasm32-wasi
kernels_flags_simd := --target=wasm32-wasi -mllvm -unroll-runtime=0 -mllvm -unroll-allow-partial=0 -msimd128

.PHONY: bench-kernels kernels-wasm
bench-kernels: $(B)/penstock $(B)/penstock-aot $(B)/penstock-sandbox kernels-wasm $(kernels_dir)/host $(kernels_dir)/sealed ## thirty kernels beside native C and node (KERNELS_ROUNDS=3 KERNELS='gemm fft' BENCH_QUICK=1)
	@B=$(B) KERNELS_ROUNDS=$(KERNELS_ROUNDS) bench/kernels/run.sh $(if $(BENCH_QUICK),--quick) $(KERNELS)
kernels-wasm: $(kernels_dir)/native $(kernels_wasm:%=$(kernels_dir)/%.wasm)

define kernels_variant
$(kernels_dir)/$(1).o/%.o: %.c bench/kernels.mk | deps-demo
	$$(call say,KERNEL,$(1)/$$(*F))
	@mkdir -p $$(@D)
	$$(kernels_cc) $(kernels_flags_$(1)) -c -o $$@ $$<
endef
$(foreach v,native host $(kernels_wasm),$(eval $(call kernels_variant,$(v))))
$(kernels_dir)/native $(kernels_dir)/host: $(kernels_dir)/%: $(addprefix $(kernels_dir)/%.o/,$(kernels_srcs:.c=.o))
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ -lm
$(kernels_wasm:%=$(kernels_dir)/%.wasm): $(kernels_dir)/%.wasm: $(addprefix $(kernels_dir)/%.o/,$(kernels_srcs:.c=.o))
	$(call say,LINK,$@)
	$(Q)$(CC) --target=wasm32-wasi -Wl,--strip-debug -o $@ $^
$(kernels_dir)/sealed: $(B)/bench/kernels/tool/sealed.c.o $(call lib,proto) $(call lib,base)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^
