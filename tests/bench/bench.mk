# SPDX-License-Identifier: BSD-2-Clause
#
# What the benchmarks run: the /init of their stock guests, their bare guests (each
# tests/bench/NAME_guest.c with the runtime of tests/bare) with the program that is their host, and
# the program in which the fake guest meets the bus.

$(BUILD)/tests/bench/init: tests/bench/init.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 $(WARNINGS) -O1 -static -o $@ $<

$(BUILD)/tests/bench/disk_load: tests/bench/disk_load.c tests/bench/disk_loads.h
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 $(WARNINGS) -O2 -static -pthread -I. -o $@ $<

$(BUILD)/tests/bench/disk_turns $(BUILD)/tests/bench/disk_terminal: $(BUILD)/%: %.c tests/bench/disk_loads.h
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O1 -I. -o $@ $<

$(BUILD)/tests/bench/%_guest.elf: tests/bench/%_guest.c tests/bench/latency_proto.h \
		$(BARE_RUNTIME) $(BARE_HEADERS) tests/bare/runtime/link.ld
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $(filter %.c %.o,$^)

LATENCY_OBJ := $(patsubst %,$(BUILD)/%.o,$(basename tests/bench/latency.c tests/bare/host_boot.c \
	$(wildcard base/log.c vmm/*.c hyperv/*.c) vmm/dsdt.S))
$(BUILD)/tests/bench/latency: $(LATENCY_OBJ)
	@$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -llz4 -lzstd -llzma -lz

BUS_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bench/bus*.c) tests/allocations.c $(STORVSP))
$(BUILD)/tests/bench/bus: $(BUS_OBJ)
	@$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(COUNT_ALLOCATIONS) -luring

BENCH_PROGRAMS := $(addprefix $(BUILD)/tests/bench/,init disk_load disk_turns disk_terminal latency \
	signal_guest.elf timer_guest.elf bus)
bench-programs: $(BENCH_PROGRAMS)
.PHONY: bench-programs
