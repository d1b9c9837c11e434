# SPDX-License-Identifier: BSD-2-Clause
#
# Bare test guests: each tests/bare/guests/NAME.c with a main() and the runtime makes one ELF kernel
# with a PVH note, run by tests/bare/bare_test.c on both Hyper-V back ends.

BARE_GUESTS := runtime ident access msrs page abi vpregs cpl3 realmode clock clockvps synic message \
	event autoeoi stimer overlay assist apicmsr ipi tlb idle crash reset
BARE_GUESTS_32 := abi32
BARE_ELFS := $(patsubst %,$(BUILD)/tests/bare/%.elf,$(BARE_GUESTS) $(BARE_GUESTS_32))
BARE_CFLAGS := -std=gnu17 $(WARNINGS) -O2 -g -ffreestanding -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -I. \
	$(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)
BARE_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments -Wl,-T,tests/bare/runtime/link.ld
BARE_RUNTIME := $(patsubst tests/%,$(BUILD)/tests/%.guest.o,$(wildcard tests/bare/runtime/*.[cS]))
BARE_HEADERS := $(wildcard tests/bare/*.h tests/bare/runtime/*.h) hyperv/tlfs.h

$(BUILD)/tests/bare/runtime/%.guest.o: tests/bare/runtime/% $(BARE_HEADERS)
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS) -c -o $@ $<
$(BUILD)/tests/bare/%.elf: tests/bare/guests/%.c $(BARE_RUNTIME) $(BARE_HEADERS) \
		tests/bare/runtime/link.ld
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $(filter %.c %.o,$^)

# Guests that stay in 32-bit mode: Multiboot kernels without the runtime.
BARE_CFLAGS_32 := -m32 $(filter-out -mno-red-zone,$(BARE_CFLAGS))
BARE_LDFLAGS_32 := $(BARE_LDFLAGS:%/runtime/link.ld=%/multiboot/link.ld)
$(BARE_GUESTS_32:%=$(BUILD)/tests/bare/%.elf): $(BUILD)/tests/bare/%.elf: tests/bare/guests/%.c \
		$(BARE_HEADERS) tests/bare/multiboot/link.ld
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS_32) $(BARE_LDFLAGS_32) -o $@ $<

# These are for tests/cli/statuses.
BARE_CONTACT := $(BUILD)/tests/bare/contact.elf
BARE_MULTIBOOT := $(BUILD)/tests/bare/multiboot.elf
$(BARE_MULTIBOOT): tests/bare/multiboot/kernel.c tests/bare/multiboot/link.ld
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS_32) $(BARE_LDFLAGS_32) -o $@ $<

$(eval $(call unit_test,bare/bare_test,tests/bare/host.c tests/bare/host_ask.c tests/bare/host_boot.c \
	$(wildcard base/log.c vmm/*.c hyperv/*.c) vmm/dsdt.S,-llz4 -lzstd -llzma -lz))
$(BUILD)/tests/bare/bare_test: | $(BARE_ELFS) $(BARE_CONTACT) $(BARE_MULTIBOOT)
$(BUILD)/tests/bare/host.o: ALL_CFLAGS += -DBARE_DIR='"$(BUILD)/tests/bare"'
.SECONDARY: $(BARE_RUNTIME)
