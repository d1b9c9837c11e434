/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Multiboot (version 1) kernel that looks at what it was handed and ends the VM through the
 * debug-exit port (0xf4): with VALUE, written as many bytes wide as its command line says
 * ("wide=1|2|4"), or with the line of the check that failed. It wants one module with the bytes
 * MODULE. Offsets are those of the Multiboot Specification 0.6.96, 3.3, on purpose not shared with
 * the loader.
 */
typedef unsigned char u8;
typedef unsigned int u32;

#define VALUE 0x01020307u
#define MODULE "module of a multiboot kernel"

#define PORT 0xf4
#define FAIL_MIN 40 /* lines are above it, and below 256 */

/* Where link.ld puts the header, which asks for modules on pages and memory information. */
#define LOADED ((u32)&multiboot_header)
#define HEADER_MAGIC 0x1badb002

extern const u8 multiboot_header[];

asm(".section .multiboot, \"a\"\n"
    ".balign 4\n"
    ".globl multiboot_header\n"
    "multiboot_header:\n"
    ".long 0x1badb002, 0x3, -(0x1badb002 + 0x3)\n"
    ".text\n"
    ".globl start\n"
    "start:\n"
    "mov $stack_top, %esp\n"
    "push %ebx\n"
    "push %eax\n"
    "call kernel\n"
    ".bss\n"
    ".balign 16\n"
    ".skip 8192\n"
    "stack_top:\n"
    ".text\n");

void kernel(u32 magic, const u32 *info);

static void out8(u32 port, u32 value)
{
	asm volatile("outb %b0, %w1" : : "a"(value), "d"(port));
}

static void end(u32 value, u32 wide)
{
	if (wide == 1)
		out8(PORT, value);
	else if (wide == 2)
		asm volatile("outw %w0, %w1" : : "a"(value), "d"(PORT));
	else
		asm volatile("outl %0, %w1" : : "a"(value), "d"(PORT));
	for (;;)
		asm volatile("hlt");
}

#define CHECK(x)                                         \
	do {                                             \
		_Static_assert(__LINE__ > FAIL_MIN, ""); \
		if (!(x))                                \
			end(__LINE__ & 0xff, 1);         \
	} while (0)

static int equal(const u8 *bytes, const char *text, u32 len)
{
	while (len && *bytes == (u8)*text)
		bytes++, text++, len--;
	return !len;
}

static const u8 *at(u32 address)
{
	const u8 *p;

	asm("" : "=r"(p) : "0"(address)); /* low addresses are good ones here */
	return p;
}

static u32 field(const u8 *p, u32 offset)
{
	return p[offset] | (u32)p[offset + 1] << 8 | (u32)p[offset + 2] << 16 |
	       (u32)p[offset + 3] << 24;
}

/* "KERNEL wide=N" and nothing else. */
static u32 check_cmdline(const u8 *line)
{
	while (*line && *line != ' ')
		line++;
	CHECK(equal(line, " wide=", 6));
	CHECK(line[6] >= '1' && line[6] <= '4' && !line[7]);
	return line[6] - (u32)'0';
}

static void check_module(const u8 *m)
{
	u32 start = field(m, 0), size = field(m, 4) - start, name = 0;

	CHECK(start % 4096 == 0 && start >= 0x100000);
	CHECK(size == sizeof(MODULE) - 1 && equal(at(start), MODULE, size));
	while (at(field(m, 8))[name])
		name++;
	CHECK(name >= 6 && equal(at(field(m, 8)) + name - 6, "module", 6));
}

/* RAM from 0 and from 1 MiB, as much as the short form says. */
static void check_map(const u8 *map, u32 length, u32 lower, u32 upper)
{
	u32 found = 0;

	for (u32 pos = 0; pos < length; pos += field(map, pos) + 4) {
		u32 base = field(map, pos + 4), size = field(map, pos + 12);

		CHECK(field(map, pos) == 20);
		if (field(map, pos + 20) != 1)
			continue;
		found += base == 0 && size == lower * 1024;
		found += base == 0x100000 && size == upper * 1024;
	}
	CHECK(found == 2);
}

/* Where a kernel that is told nothing looks for the ACPI tables. */
static void check_rsdp(void)
{
	u32 address = 0xe0000;
	u8 sum = 0;

	while (address < 0x100000 && !equal(at(address), "RSD PTR ", 8))
		address += 16;
	CHECK(address < 0x100000);
	for (u32 i = 0; i < 20; i++)
		sum = (u8)(sum + at(address)[i]);
	CHECK(!sum);
}

/* What the processor is to be in. */
static void check_machine(void)
{
	u32 cr0, flags;

	asm("mov %%cr0, %0" : "=r"(cr0));
	asm("pushf\npop %0" : "=r"(flags));
	CHECK((cr0 & 0x80000001) == 1);
	CHECK(!(flags & 0x20200)); /* VM, IF */
	/* A20: what lies above 1 MiB does not show below. */
	CHECK(field(at(LOADED), 0) == HEADER_MAGIC &&
	      field(at(LOADED - 0x100000), 0) != HEADER_MAGIC);
}

__attribute__((used)) void kernel(u32 magic, const u32 *info)
{
	const u8 *i = (const u8 *)info;
	u32 wide;

	CHECK(magic == 0x2badb002);
	CHECK((field(i, 0) & 0x24d) == 0x24d); /* memory, command line, modules, map, loader */
	check_machine();
	wide = check_cmdline(at(field(i, 16)));
	CHECK(field(i, 4) == 639 && field(i, 8) == 63 * 1024); /* -m 64M */
	CHECK(field(i, 20) == 1);
	check_module(at(field(i, 24)));
	check_map(at(field(i, 48)), field(i, 44), field(i, 4), field(i, 8));
	CHECK(equal(at(field(i, 64)), "candela", 8));
	check_rsdp();
	out8(PORT + 1, 99); /* its neighbour ends nothing */
	end(VALUE, wide);
}
