# SPDX-License-Identifier: BSD-2-Clause
#
# Unit tests: one line each, naming the test (tests/NAME.c) and exactly the product sources it
# links. The link line is a test of its own: it proves that a part stands on no more than that.
#
#	$(eval $(call unit_test,NAME,SOURCES,LIBRARIES))

UNIT_TESTS :=

define unit_test
UNIT_TESTS += $(BUILD)/tests/$(1)
$(BUILD)/tests/$(1): $(BUILD)/tests/$(1).o $(patsubst %.c,$(BUILD)/%.o,$(patsubst %.S,$(BUILD)/%.o,$(2)))
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ -lcmocka $(3)
endef

# The in-process fake guest, for tests of the bus and of devices.
FAKEGUEST := $(wildcard tests/fakeguest/*.c) base/log.c base/loop.c vmm/memory.c \
	$(filter-out vmbus/port_synic.c,$(wildcard vmbus/*.c))

# ---- base
$(eval $(call unit_test,base/loop_test,base/loop.c,))
$(eval $(call unit_test,base/uring_test,base/uring.c base/loop.c,-luring))
# ---- vmm
$(eval $(call unit_test,vmm/memory_test,vmm/memory.c))
$(eval $(call unit_test,vmm/acpi_test,vmm/acpi.c vmm/dsdt.S vmm/memory.c))
$(eval $(call unit_test,vmm/io_test,vmm/io.c))
$(eval $(call unit_test,vmm/cpuid_test,vmm/cpuid.c vmm/kvm.c))
# ---- hyperv
# ---- vmbus
# ---- devices
$(eval $(call unit_test,devices/console_test,devices/backend/console.c base/loop.c))
# ---- seccomp
# ---- cli
$(eval $(call unit_test,cli/config_test,cli/config.c cli/config_device.c))

# Runs every unit test; the first failure ends it with that test's output.
unit: $(UNIT_TESTS)
	@for t in $^; do echo "== $$t"; $$t || exit 1; done

.PHONY: unit
-include $(UNIT_TESTS:=.d)
