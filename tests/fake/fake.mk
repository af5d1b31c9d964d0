# SPDX-License-Identifier: Apache-2.0
# A piControl of our own: as functions; preloaded (tests/e2e/revpi.sh); as a character device (tests/vm/revpi.sh).
fake_pi := $(patsubst %,$(B)/tests/fake/picontrol%.c.o, _config _calls) $(B)/tests/fake/picontrol.c.o
$(patsubst %,$(B)/tests/unit/%,triggers/test_picontrol triggers/test_revpi triggers/test_revpi_output guard/test_act): $(fake_pi)
$(B)/tests/fake/picontrol-ctl: $(patsubst %,$(B)/tests/fake/picontrol%.c.o, _config _ctl) $(B)/tests/fake/picontrol.c.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljansson
$(B)/tests/fake/picontrol-cuse: $(B)/tests/fake/picontrol_cuse.c.o $(B)/tests/fake/picontrol.c.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lfuse3
$(B)/tests/fake/picontrol_cuse.c.o: CPPFLAGS += -I/usr/include/fuse3 -D_FILE_OFFSET_BITS=64
$(B)/tests/fake/picontrol.so: tests/fake/picontrol_preload.c tests/fake/picontrol.c tests/fake/picontrol_calls.c $(wildcard tests/fake/*.h) | deps-build
	$(call say,SO,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -I. $(WARN) -Wno-missing-prototypes -O1 -g -fPIC -shared -pthread -o $@ $(filter %.c,$^)
tool-bins: $(B)/tests/fake/picontrol-ctl $(B)/tests/fake/picontrol.so
vm-functions: $(B)/tests/fake/picontrol-cuse
