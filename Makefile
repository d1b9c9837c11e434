# SPDX-License-Identifier: BSD-2-Clause
#
# make            build ./candela
# make run        boot a stock Debian guest (CMD='...' runs one command in it)
# make test       everything a change must pass; make unit is its quick part
# make help       all targets

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

BUILD ?= build
CC = gcc
VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=

PKGS := libseccomp libcap-ng liburing libnbd slirp json-c liblz4 libzstd liblzma zlib

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wimplicit-fallthrough -Wvla $(if $(findstring clang,$(CC)),-Wno-gnu-variable-sized-type-not-at-end)
OPT ?= -O2
CFLAGS ?= -g
COMMA := ,
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DCANDELA_VERSION='"$(VERSION)"' $(WARNINGS) $(OPT) \
	-fstack-protector-strong -fno-strict-aliasing -fPIE -pthread -I. -I$(BUILD) $(CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
	$(patsubst %,-DSANITIZE_%,$(subst $(COMMA), ,$(SANITIZE)))
# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),:,printf '  %-6s %s\n' $(1) $(2))
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE))
LIBS = $(shell pkg-config --libs $(PKGS))

# The product, layer by layer; includes point one way only (tests/arch).
SRC := $(wildcard base/*.c vmm/*.c hyperv/*.c vmbus/*.c devices/*.c devices/backend/*.c cli/*.c) \
	$(filter-out seccomp/compile.c,$(wildcard seccomp/*.c)) \
	$(wildcard machine*.c) candela.c
ASM := $(wildcard vmm/*.S cli/*.S)
OBJ := $(SRC:%.c=$(BUILD)/%.o) $(ASM:%.S=$(BUILD)/%.o)

all: candela

# A missing library is named with the command that brings it, not by a compiler error.
$(BUILD)/deps: Makefile
	@mkdir -p $(@D)
	@pkg-config --exists $(PKGS) && command -v iasl >/dev/null && \
		echo '#include <sys/sdt.h>' | $(CC) -E - >/dev/null 2>&1 || \
		{ echo "make: libraries or tools are missing; run: images/packages build" >&2; exit 1; }
	@touch $@

candela: $(BUILD)/candela
	@cp -f $< $@

$(BUILD)/candela: $(OBJ)
	@$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/%.o: %.c | $(BUILD)/deps
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# libslirp's header and GLib's (libslirp logs through it) lie in folders of their own.
$(BUILD)/devices/backend/nic_user.o: ALL_CFLAGS += $(shell pkg-config --cflags slirp)

$(BUILD)/%.o: %.S | $(BUILD)/deps
	@mkdir -p $(@D)
	@$(call say,AS,$@)
	$(Q)$(CC) -I. -I$(BUILD) -MMD -MP -c -o $@ $<

$(BUILD)/%.aml: %.asl | $(BUILD)/deps
	@mkdir -p $(@D)
	@$(call say,IASL,$@)
	$(Q)iasl -vs -w3 -we -p $@ $< >$@.log 2>&1 || { cat $@.log; exit 1; }

# The sandbox profiles, compiled to BPF at build time.
$(BUILD)/seccomp/compile: seccomp/compile.c | $(BUILD)/deps
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O1 -I. -o $@ $< -lseccomp
$(BUILD)/seccomp/filters.h: $(BUILD)/seccomp/compile $(wildcard seccomp/*.profile)
	@$(call say,GEN,$@)
	$(Q)$< $(filter %.profile,$^) >$@.tmp && mv $@.tmp $@
$(BUILD)/seccomp/seccomp.o: $(BUILD)/seccomp/filters.h

# The static init behind `-- COMMAND` (images/init) and the DSDT are embedded whole.
$(BUILD)/images/init/init: $(wildcard images/init/*.c images/init/*.h) | $(BUILD)/deps
	@mkdir -p $(@D)
	@$(call say,CC,$@)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -Os -static -I. -o $@ $(filter %.c,$^) -llzma -lzstd -lz
	$(Q)strip $@
$(BUILD)/cli/init_blob.o: $(BUILD)/images/init/init
$(BUILD)/vmm/dsdt.o: $(BUILD)/vmm/dsdt.aml

include tests/tests.mk

# ---- What people call

# Installs what it needs, builds, and boots a stock Debian; in the lab where the KVM here cannot.
run:
	@images/run

test:
	@tests/run

# What takes hours (tests/soak); SOAK='pattern' narrows it, ROUNDS=10 are those of boots and chaos.
soak:
	@ROUNDS=$(ROUNDS) tests/soak $(if $(SOAK),'$(SOAK)')

# A shell in the emulated machine with AMD-V.
lab:
	@images/lab/lab -n -- $${SHELL:-/bin/sh}

# BENCH='pattern' narrows it, ROUNDS=5 are those of boot; every figure is in $(BUILD)/bench.tsv too.
bench: all bench-programs
	@tests/bench/run -b -o $(BUILD)/bench.tsv $(if $(BENCH),'$(BENCH)')
ifneq ($(BENCH),bus)
	@images/packages test
	@images/prepare 6.12-cloud
	@ROUNDS=$(ROUNDS) LKVM=$(LKVM) images/kvm-here -e ROUNDS $(if $(LKVM),-e LKVM) tests/bench/run -k -a -o $(BUILD)/bench.tsv $(if $(BENCH),'$(BENCH)')
endif

C_FILES = $(shell git ls-files '*.c' '*.h')
SHELL_FILES = $(shell git ls-files images tests .ci | xargs grep -lE '^(\#!/bin/sh|\# shellcheck shell)')

# Versions of clang-format differ in details; the one of Debian 12 decides.
STYLED = { clang-format --version | grep -q 'version 14\.' || \
	{ echo "make: this is not clang-format 14, whose word counts: formatting is left alone" >&2; false; }; }

lint: all
	@images/packages lint
	tests/arch
	@! $(STYLED) || clang-format --dry-run --Werror $(C_FILES)
	shellcheck $(SHELL_FILES)
	clang-tidy --quiet $(filter-out seccomp/seccomp.c,$(SRC)) -- -std=gnu17 -D_GNU_SOURCE \
		-DCANDELA_VERSION='"$(VERSION)"' -I. -I$(BUILD) $(shell pkg-config --cflags $(PKGS))

format:
	@$(STYLED) && clang-format -i $(C_FILES)

install: all
	install -D -m 755 candela $(DESTDIR)$(PREFIX)/bin/candela
	install -D -m 644 cli/candela.1 $(DESTDIR)$(PREFIX)/share/man/man1/candela.1

clean:
	rm -rf $(BUILD) candela

help:
	@echo "make            build ./candela"
	@echo "make run        boot a stock Debian guest; CMD='...' runs one command, FRESH=1 resets"
	@echo "                its disk, KERNEL=6.1-cloud takes another (images/run --help)"
	@echo "make test       everything a change must pass; GUESTS='pattern' narrows the stock guests"
	@echo "make soak       hours of stock guests: power cuts, disks, drivers that go, kexec, boots (SOAK='pattern', ROUNDS=10)"
	@echo "make lab        a shell in the lab, an emulated machine with a real KVM"
	@echo "make unit       unit and protocol tests (SANITIZE=address,undefined BUILD=build/asan)"
	@echo "make fuzz       every fuzz target for SECONDS=600 with JOBS=1 process, TARGET=name for one;"
	@echo "                coverage at the end"
	@echo "make bench      boot time, idle exits and disks beside the peers, memory, signals, timers, the bus"
	@echo "                (BENCH=boot, ROUNDS=5); every figure also in build/bench.tsv"
	@echo "make lint       clang-tidy, clang-format, shellcheck, layering"
	@echo "make format     clang-format in place"
	@echo "make install    PREFIX=$(PREFIX) DESTDIR="
	@echo "make clean      forget what was built"

.PHONY: all run test soak lab bench lint format install clean help
-include $(OBJ:.o=.d)
