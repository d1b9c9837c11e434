/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/fuzz/cdb.h"

static void put_be(u8 *at, u64 value, unsigned bytes)
{
	while (bytes--) {
		at[bytes] = (u8)value;
		value >>= 8;
	}
}

void fuzz_cdb(struct fuzz_input *in, u8 cdb[static SCSI_CDB_MAX])
{
	static const u8 opcodes[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a,
		0x2e, 0x2f, 0x35, 0x41, 0x42, 0x4d, 0x55, 0x5a, 0x5e, 0x5f, 0x88, 0x89,
		0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xaf,
	};
	static const u8 vpd[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2, 0x84, 0xff };
	u64 lba, count;

	fuzz_bytes(in, cdb, 2);
	cdb[0] = cdb[0] < 224 ? opcodes[cdb[0] % ARRAY_SIZE(opcodes)] : cdb[0];
	if (fuzz_rarely(in, 4)) {
		fuzz_bytes(in, cdb + 2, SCSI_CDB_MAX - 2);
		return;
	}
	lba = fuzz_value(in);
	count = fuzz_value(in);
	if (cdb[0] == SCSI_INQUIRY && cdb[1] & 1)
		lba = (u64)vpd[fuzz_below(in, ARRAY_SIZE(vpd))] << 8;
	switch (cdb[0] >> 5) {
	case 0:
		put_be(cdb + 2, lba, 2);
		cdb[4] = (u8)count;
		break;
	case 1:
	case 2:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 7, count, 2);
		break;
	case 5:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 6, count, 4);
		break;
	default:
		put_be(cdb + 2, lba, 8);
		put_be(cdb + 10, count, 4);
	}
}
