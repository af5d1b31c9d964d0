# SPDX-License-Identifier: Apache-2.0
# Included by the Makefile.
check-vm: deps-check ## triggers and outputs on real kernel interfaces, in a VM (tests/vm/README.md)
	+@B=$(B) MAKE="$(MAKE)" tests/run vm

# The functions of tests/e2e, built here, because clang is slow in a VM that is emulated. Commands say so by their name.
vm_functions := $(patsubst tests/e2e/functions/%.c,$(B)/vm/functions/%.wasm,$(wildcard tests/e2e/functions/*.c))
$(B)/vm/functions/%.wasm: tests/e2e/functions/%.c sdk/include/penstock.h | deps-demo
	$(call say,WASM,$@)
	@mkdir -p $(@D)
	$(call wasm_build,$(WASM_CC) -Wno-infinite-recursion,$(if $(filter %_command,$*),,-mexec-model=reactor))
vm-functions: $(vm_functions)
.PHONY: check-vm vm-functions
