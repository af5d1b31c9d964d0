# Events, state and effects while everything is killed; faults of disks and clocks.
torture_bins := $(B)/tests/torture/torture $(B)/tests/torture/preload.so
$(B)/tests/torture/torture: %: %.c.o $(B)/tools/mqtt.c.o $(call lib,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^
$(B)/tests/torture/preload.so: tests/torture/preload.c | deps-build
	$(call say,SO,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(CFLAGS) -Wall -Wextra -fPIC -shared -o $@ $<
$(B)/tests/torture/torture: $(B)/tests/torture/torture.c.o
tool-bins: $(torture_bins)
.PHONY: torture
torture: all $(torture_bins) ## ROUNDS=300 of 20,000 events while everything is killed; SEED= EVENTS= (tests/torture/run.sh)
	@B=$(B) ROUNDS=$(ROUNDS) bash tests/torture/run.sh
