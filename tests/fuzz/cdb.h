/* SPDX-License-Identifier: BSD-2-Clause */
/* CDBs as a guest makes them that knows where their fields are, or does not care. */
#ifndef TESTS_FUZZ_CDB_H
#define TESTS_FUZZ_CDB_H

#include "devices/scsi_proto.h"
#include "tests/fuzz/fuzz.h"

/* A CDB, mostly of a command there is: the fields of its group in their places, or any bytes. */
void fuzz_cdb(struct fuzz_input *in, u8 cdb[static SCSI_CDB_MAX]);

#endif
