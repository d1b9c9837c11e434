# SPDX-License-Identifier: BSD-2-Clause
#
# Bare test guests: each tests/bare/NAME.c with a main() and the runtime (bare.c, start.S) makes one
# ELF kernel with a PVH note, run by tests/bare/bare_test.c on both Hyper-V back ends.

BARE_GUESTS := ident clock synic crash reset
BARE_ELFS := $(BARE_GUESTS:%=$(BUILD)/tests/bare/%.elf)
BARE_CFLAGS := -std=gnu17 $(WARNINGS) -O2 -g -ffreestanding -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only -I. \
	$(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)
BARE_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments -Wl,-T,tests/bare/link.ld

$(BUILD)/tests/bare/%.elf: tests/bare/%.c tests/bare/bare.c tests/bare/start.S tests/bare/link.ld \
		tests/bare/bare.h tests/bare/bare_proto.h hyperv/tlfs.h
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(BARE_CFLAGS) $(BARE_LDFLAGS) -o $@ $(filter %.c %.S,$^)

$(eval $(call unit_test,bare/bare_test,$(wildcard base/log.c vmm/*.c hyperv/*.c) vmm/dsdt.S,-llz4 -lzstd -llzma -lz))
$(BUILD)/tests/bare/bare_test: | $(BARE_ELFS)
$(BUILD)/tests/bare/bare_test.o: ALL_CFLAGS += -DBARE_DIR='"$(BUILD)/tests/bare"'
