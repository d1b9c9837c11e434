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
	@$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ -lcmocka $(3)
endef

# The in-process fake guest, for tests of the bus and of devices.
FAKEGUEST := $(wildcard tests/fakeguest/*.c) base/log.c base/loop.c base/stream.c base/trace.c vmm/memory.c \
	$(filter-out vmbus/port_synic.c,$(wildcard vmbus/*.c))

# Has tests/allocations.c see what the objects of a program allocate.
COUNT_ALLOCATIONS := $(patsubst %,-Xlinker --wrap=%,malloc calloc realloc aligned_alloc mmap)

# Disk back ends and what they stand on; SERVED: disk_open.c and what only it needs.
URING := base/uring.c base/uring_file.c base/uring_list.c base/uring_workers.c base/loop.c
DISKS := $(addprefix devices/backend/disk,.c _mem.c _raw.c _raw_open.c _lock.c _probe.c _ephemeral.c _limit.c _meter.c) $(URING) base/log.c
SERVED := $(addprefix devices/backend/disk_,open.c nbd.c nbd_open.c daemon.c)

# Storage before the fake guest.
STORVSP := $(sort $(wildcard devices/storvsp*.c devices/scsi_*.c) $(DISKS) $(FAKEGUEST))

# ---- base
$(eval $(call unit_test,base/loop_test,base/loop.c,))
$(eval $(call unit_test,base/trace_test,base/trace.c))
$(eval $(call unit_test,base/uring_test,$(URING),-luring))
$(eval $(call unit_test,base/uring_list_test,base/uring_list.c))
$(eval $(call unit_test,base/uring_file_test,tests/unused_file.c base/io_thread.c $(URING),-luring))
$(eval $(call unit_test,base/io_thread_test,base/io_thread.c $(URING),-luring))
$(eval $(call unit_test,base/stream_test,base/stream.c))
# ---- vmm
$(eval $(call unit_test,vmm/memory_test,vmm/memory.c))
$(eval $(call unit_test,vmm/acpi_test,vmm/acpi.c vmm/dsdt.S vmm/memory.c))
BOOT := $(wildcard vmm/boot*.c) vmm/memory.c
BOOT_LIBS := -llz4 -lzstd -llzma -lz
$(foreach t,elf multiboot unpack bzimage cache,\
	$(eval $(call unit_test,vmm/boot_$(t)_test,tests/vmm/boot_image.c $(BOOT),$(BOOT_LIBS))))
$(eval $(call unit_test,vmm/reset_vector_test,vmm/reset_vector.c vmm/memory.c))
$(eval $(call unit_test,vmm/io_test,vmm/io.c))
$(eval $(call unit_test,vmm/vcpu_test,vmm/vcpu.c vmm/io.c))
$(eval $(call unit_test,vmm/cpuid_test,vmm/cpuid.c vmm/kvm.c))
# ---- hyperv
PARTITION := tests/hyperv/fake.c hyperv/partition.c hyperv/ports.c hyperv/synic.c hyperv/overlay.c \
	hyperv/time.c hyperv/stimer.c hyperv/apic.c hyperv/apic_mmio.c \
	hyperv/auto_eoi.c vmm/memory.c base/log.c
$(eval $(call unit_test,hyperv/cpuid_test,hyperv/cpuid.c vmm/cpuid.c vmm/kvm.c))
$(eval $(call unit_test,hyperv/features_test,hyperv/features.c))
$(eval $(call unit_test,hyperv/time_test,$(PARTITION)))
$(eval $(call unit_test,hyperv/overlay_test,$(PARTITION)))
$(eval $(call unit_test,hyperv/stimer_test,$(PARTITION)))
$(eval $(call unit_test,hyperv/apic_test,$(PARTITION) hyperv/attention.c))
$(eval $(call unit_test,hyperv/ports_test,$(PARTITION)))
$(eval $(call unit_test,hyperv/synic_test,$(PARTITION)))
HYPERCALLS := tests/hyperv/hypercall_bed.c $(PARTITION) $(wildcard hyperv/hypercall*.c) hyperv/vp_set.c \
	hyperv/vp_registers.c hyperv/tlb.c hyperv/msr.c hyperv/crash.c hyperv/syndbg.c \
	vmm/cpuid.c
$(foreach t,hypercall hypercall_calls hypercall_page vp_registers tlb,\
	$(eval $(call unit_test,hyperv/$(t)_test,$(HYPERCALLS))))
$(eval $(call unit_test,hyperv/vp_set_test,hyperv/vp_set.c))
$(eval $(call unit_test,hyperv/msr_test,$(PARTITION) hyperv/msr.c hyperv/crash.c hyperv/syndbg.c))
$(eval $(call unit_test,hyperv/state_test,$(PARTITION) hyperv/state.c hyperv/msr.c hyperv/crash.c hyperv/syndbg.c))
$(eval $(call unit_test,hyperv/syndbg_test,$(PARTITION) hyperv/msr.c hyperv/crash.c hyperv/syndbg.c))
include tests/bare/bare.mk
# ---- vmbus
$(eval $(call unit_test,vmbus/ring_test,vmbus/ring.c))
$(eval $(call unit_test,vmbus/gpa_range_test,vmbus/gpa_range.c vmm/memory.c))
$(eval $(call unit_test,vmbus/pace_test,vmbus/pace.c))
$(eval $(call unit_test,vmbus/throttle_test,$(FAKEGUEST)))
$(eval $(call unit_test,vmbus/allocation_test,tests/allocations.c tests/vmbus/channel_bed.c $(FAKEGUEST),$(COUNT_ALLOCATIONS)))
$(eval $(call unit_test,vmbus/chaos_test,vmbus/chaos.c base/log.c))
$(foreach t,gpadl connection,\
	$(eval $(call unit_test,vmbus/$(t)_test,$(FAKEGUEST))))
$(eval $(call unit_test,vmbus/threads_test,tests/vmbus/mirror.c $(FAKEGUEST)))
$(eval $(call unit_test,vmbus/echo_test,tests/boot/echo.c $(FAKEGUEST)))
$(eval $(call unit_test,vmbus/plug_test,tests/boot/plug.c tests/boot/bay.c tests/boot/echo.c $(STORVSP),-luring))
$(foreach t,channel channel_io version reserved offer monitor move trace,\
	$(eval $(call unit_test,vmbus/$(t)_test,tests/vmbus/channel_bed.c $(FAKEGUEST))))
$(foreach t,late late_point,\
	$(eval $(call unit_test,vmbus/$(t)_test,tests/vmbus/late_bed.c tests/vmbus/mirror.c $(FAKEGUEST))))
$(foreach t,save save_channel save_stream,\
	$(eval $(call unit_test,vmbus/$(t)_test,tests/vmbus/save_bed.c $(FAKEGUEST))))
# ---- devices
$(foreach t,storvsp storvsp_save,\
	$(eval $(call unit_test,devices/$(t)_test,tests/devices/held_disk.c $(STORVSP),-luring)))
SCSI := tests/devices/scsi_bed.c $(wildcard devices/scsi_*.c) base/stream.c $(DISKS)
$(foreach t,disk compare mode reserve unit mmc save conform,\
	$(eval $(call unit_test,devices/scsi_$(t)_test,$(SCSI),-luring)))
$(foreach t,channels chance move reset plug save_channels save_units,\
	$(eval $(call unit_test,devices/storvsp_$(t)_test,tests/devices/storvsp_bed.c tests/devices/held_disk.c tests/still_clock.c $(STORVSP),-luring)))
$(eval $(call unit_test,devices/storvsp_image_test,tests/unused_file.c tests/devices/storvsp_bed.c tests/devices/held_disk.c $(STORVSP),-luring))
$(eval $(call unit_test,devices/serial_test,devices/serial.c))
$(eval $(call unit_test,devices/pm_test,devices/pm.c vmm/io.c))
$(eval $(call unit_test,devices/cmos_test,devices/cmos.c))
$(eval $(call unit_test,devices/exit_port_test,devices/exit_port.c))
$(eval $(call unit_test,devices/synic_test_port_test,devices/synic_test_port.c $(PARTITION)))
$(foreach t,raw raw_open flush,\
	$(eval $(call unit_test,devices/disk_$(t)_test,tests/devices/raw_bed.c tests/devices/disk_user.c $(DISKS),-luring)))
$(eval $(call unit_test,devices/disk_layers_test,tests/still_clock.c $(DISKS),-luring))
$(eval $(call unit_test,devices/disk_ephemeral_test,tests/devices/disk_user.c $(filter-out %_ephemeral.c,$(DISKS)),-luring))
$(foreach t,nbd daemon corners,\
	$(eval $(call unit_test,devices/disk_$(t)_test,tests/devices/nbd_server.c tests/devices/disk_user.c $(SERVED) $(DISKS),-luring -lnbd)))
$(eval $(call unit_test,devices/disk_sandbox_test,tests/devices/nbd_server.c tests/devices/disk_user.c seccomp/seccomp.c $(SERVED) $(DISKS),-luring -lnbd -lcap-ng))
$(eval $(call unit_test,devices/console_test,devices/backend/console.c base/loop.c))
$(eval $(call unit_test,devices/rndis_test,devices/rndis.c devices/rndis_oid.c))
NETVSP := $(wildcard devices/netvsp*.c) devices/rndis.c \
	devices/rndis_oid.c tests/devices/netvsp_bed.c $(FAKEGUEST)
$(eval $(call unit_test,devices/netvsp_test,$(NETVSP)))
$(eval $(call unit_test,devices/netvsp_hostile_test,$(NETVSP)))
$(eval $(call unit_test,devices/netvsp_save_test,$(NETVSP)))
$(eval $(call unit_test,devices/netvsp_move_test,devices/backend/nic_fd.c $(NETVSP)))
$(eval $(call unit_test,devices/nic_fd_test,devices/backend/nic_fd.c base/loop.c base/log.c))
NICS := devices/backend/nic.c devices/backend/nic_fd.c devices/backend/nic_tap.c \
	devices/backend/nic_user.c base/loop.c base/log.c
$(eval $(call unit_test,devices/nic_user_test,$(NICS) tests/devices/packet.c,-lslirp -lglib-2.0))
# ---- seccomp
$(foreach t,filters seccomp,\
	$(eval $(call unit_test,seccomp/$(t)_test,seccomp/seccomp.c,-lcap-ng)))
$(BUILD)/tests/seccomp/filters_test.o: $(BUILD)/seccomp/filters.h
# ---- cli
CONFIG := $(wildcard cli/config*.c) hyperv/features.c base/trace.c vmbus/trace.c
$(eval $(call unit_test,cli/guest_command_test,cli/guest_command.c cli/init_blob.S))
$(foreach t,config config_device,\
	$(eval $(call unit_test,cli/$(t)_test,tests/cli/config_bed.c $(CONFIG))))
$(eval $(call unit_test,cli/doctor_test,$(addprefix cli/doctor_,judge.c cpu.c path.c)))
$(eval $(call unit_test,cli/help_test,cli/help.c $(CONFIG) base/log.c))
$(eval $(call unit_test,cli/result_test,cli/result.c,-ljson-c))
$(eval $(call unit_test,cli/terminal_test,cli/terminal.c))
$(eval $(call unit_test,cli/supervisor_test,cli/supervisor.c cli/terminal.c base/loop.c base/log.c base/trace.c vmbus/trace.c))
# ---- the program
$(eval $(call unit_test,machine_files_test,machine_files.c vmbus/chaos.c $(SERVED) $(DISKS),-luring -lnbd))
$(eval $(call unit_test,machine_crash_test,machine_crash.c))
# ---- images
INIT := $(addprefix images/init/,options.c modinfo.c unpack.c volume.c command.c report.c)
$(eval $(call unit_test,images/init_test,$(INIT),-llzma -lzstd -lz))

include tests/fuzz/fuzz.mk

# Those run under TSan as well: two threads meet in them.
THREAD_TESTS := base/loop_test base/uring_test base/uring_file_test base/uring_list_test base/io_thread_test \
	base/trace_test vmm/vcpu_test \
	vmbus/ring_test vmbus/threads_test vmbus/late_test vmbus/plug_test \
	devices/disk_raw_test devices/disk_layers_test devices/disk_nbd_test devices/scsi_unit_test \
	devices/storvsp_image_test devices/storvsp_move_test devices/netvsp_move_test devices/console_test devices/serial_test

# Those run as the program is built, too: they look at what the C library itself does.
PLAIN_TESTS := seccomp/seccomp_test

# ---- Helpers of the stock-guest tests and benchmarks

$(BUILD)/tests/boot/dns $(BUILD)/tests/boot/fpu_load: $(BUILD)/%: %.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 $(WARNINGS) -O1 -o $@ $<
$(BUILD)/tests/boot/kexec: tests/boot/kexec.c
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O1 -static -o $@ $<
	$(Q)strip $@
# candela with test devices, and the program that drives them in a stock guest.
DEVICES_OBJ := $(patsubst %,$(BUILD)/tests/boot/%.o,candela_devices bay echo plug)
$(BUILD)/tests/boot/candela_devices: $(DEVICES_OBJ) $(filter-out $(BUILD)/candela.o,$(OBJ))
	@$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/tests/boot/uio_guest: tests/boot/uio_guest.c tests/boot/plug_proto.h $(wildcard vmbus/*_proto.h)
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 -static -I. -o $@ $<
	$(Q)strip $@
# Power cuts: the load in a stock guest, and what looks at the disks afterwards.
$(BUILD)/tests/boot/cut_%: tests/boot/cut_%.c tests/boot/cut.c tests/boot/cut.h
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 $(if $(filter load,$*),-static -s) -I. -o $@ $(filter %.c,$^)
BOOT_PROGRAMS := $(addprefix $(BUILD)/tests/boot/,dns fpu_load kexec candela_devices uio_guest cut_load cut_log cut_check)
boot-programs: $(BOOT_PROGRAMS)
.PHONY: boot-programs
include tests/bench/bench.mk

# ---- Running them

# Every unit test once, as built here; the first failure ends it with that test's output.
unit: unit-programs
	@for t in $(UNIT_TESTS); do echo "== $$t"; $$t || exit 1; done

unit-programs: $(UNIT_TESTS)
thread-programs: $(THREAD_TESTS:%=$(BUILD)/tests/%)

# What tests/run runs.
test-programs: all bench-programs boot-programs $(addprefix $(BUILD)/tests/,bare/bare_test $(PLAIN_TESTS))
	$(MAKE) BUILD=build/asan SANITIZE=address,undefined unit-programs
	$(MAKE) BUILD=build/tsan SANITIZE=thread thread-programs
list-tests:
	@echo $(UNIT_TESTS:$(BUILD)/%=build/asan/%) $(THREAD_TESTS:%=build/tsan/tests/%) \
		$(PLAIN_TESTS:%=build/tests/%)

.PHONY: unit unit-programs thread-programs test-programs list-tests
# Of the tests, of what helps them, and of the init they test.
-include $(wildcard $(BUILD)/tests/*.d $(BUILD)/tests/*/*.d $(BUILD)/images/*/*.d)
