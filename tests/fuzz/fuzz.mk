# SPDX-License-Identifier: BSD-2-Clause
#
# Fuzz targets: one line each, naming the target (tests/fuzz/NAME_fuzz.c), the product and test
# sources it links, and its libraries. They are built apart (tests/fuzz/run): with FUZZ=libfuzzer
# by clang to fuzz, with FUZZ=replay by gcc to measure what a corpus covers.

FUZZ_TARGETS :=

define fuzz_target
FUZZ_TARGETS += $(1)
$(BUILD)/tests/fuzz/$(1)_fuzz: $(BUILD)/tests/fuzz/$(1)_fuzz.o \
		$(if $(filter replay,$(FUZZ)),$(BUILD)/tests/fuzz/replay.o) \
		$(patsubst %.c,$(BUILD)/%.o,$(patsubst %.S,$(BUILD)/%.o,$(2)))
	@$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $(if $(filter libfuzzer,$(FUZZ)),-fsanitize=fuzzer) -o $$@ $$^ $(3)
endef

FUZZ_GUEST := tests/fuzz/guest.c $(FAKEGUEST)

$(eval $(call fuzz_target,ring,vmbus/ring.c))
$(eval $(call fuzz_target,gpadl,$(FUZZ_GUEST)))
$(eval $(call fuzz_target,vmbus,$(FUZZ_GUEST)))
$(eval $(call fuzz_target,save,tests/vmbus/save_bed.c tests/fuzz/guest.c $(STORVSP),-lcmocka -luring))
$(eval $(call fuzz_target,scsi,$(sort $(wildcard devices/scsi_*.c) base/stream.c $(DISKS)),-luring))
$(eval $(call fuzz_target,storvsp,tests/fuzz/guest.c tests/fuzz/cdb.c $(STORVSP),-luring))
$(eval $(call fuzz_target,netvsp,$(filter-out tests/devices/%,$(NETVSP)) tests/fuzz/guest.c))
$(eval $(call fuzz_target,hyperv,$(HYPERCALLS) hyperv/attention.c hyperv/syndbg.c,-lcmocka))
$(eval $(call fuzz_target,boot,tests/vmm/boot_image.c $(BOOT),$(BOOT_LIBS) -lcmocka))
$(eval $(call fuzz_target,config,$(CONFIG)))

ifneq ($(FUZZ),)
# Time stands still but where the input moves it.
$(BUILD)/base/loop.o: ALL_CFLAGS += -Dclock_gettime=fuzz_clock_gettime
endif

fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/tests/fuzz/%_fuzz)
list-fuzz:
	@echo $(FUZZ_TARGETS)

# The long rounds: TARGET=name for one of them, SECONDS for each, JOBS processes.
fuzz:
	@tests/fuzz/run -t $(or $(SECONDS),600) -j $(or $(JOBS),1) $(TARGET)

.PHONY: fuzz fuzz-programs list-fuzz
