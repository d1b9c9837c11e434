/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices a guest cannot probe for. Addresses are those of vmm/layout.h, which iasl cannot
 * read; tests/vmm/acpi_test.c compares them.
 */
DefinitionBlock ("", "DSDT", 2, "CANDEL", "CANDELA ", 1)
{
	/* Power off: LAYOUT_SLEEP_TYPE_S5 into the sleep control register. */
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB) {
		/*
		 * The module device's window is what a guest's VMBus driver hands out to channels
		 * that need MMIO space. Linux 5.10 panics where the VMBus device has no such
		 * ancestor.
		 */
		Device (VMOD) {
			Name (_HID, "ACPI0004")
			Name (_UID, Zero)
			Name (_CRS, ResourceTemplate () {
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0, 0xF8000000, 0xFBFFFFFF, 0, 0x04000000)
			})

			/* Guests look for this id. It has no ACPI form, so a Name would not compile. */
			Device (VMBS) {
				Method (_HID) { Return ("VMBus") }
				Name (_UID, Zero)
				Name (_DDN, "VMBUS")
			}
		}

		/* Without a PIC a guest learns the interrupts of its serial ports only here. */
		Device (COM1) {
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_DDN, "COM1")
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQ (Edge, ActiveHigh, Exclusive) { 4 }
			})
		}

		Device (COM2) {
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 2)
			Name (_DDN, "COM2")
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x02F8, 0x02F8, 1, 8)
				IRQ (Edge, ActiveHigh, Exclusive) { 3 }
			})
		}

		/* The clock, without its alarm interrupt: else Linux guesses IRQ 8 and complains. */
		Device (RTC) {
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate () {
				IO (Decode16, 0x0070, 0x0070, 1, 2)
			})
		}
	}
}
