# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154 # see guest.sh
# Runs inside a stock Debian guest of candela_devices, as `-- sh -c "$(cat guest.sh uio.sh values.sh
# bay.sh scsi.sh)" scsi KIND...`: SCSI as sg3-utils see it, and lsblk and others; resets of these
# kinds, discs that are swapped and a disk that is resized. The disk of 64 MiB, whatever Linux calls
# it, has contents that do not matter, one of 24 has blocks of 4096 bytes, one of 12 is read-only.
# The drive that is not the bay's has a DVD with the files data, sum and uio_guest.

scratch=$(mktemp -d)

# stage NAME: where it has got to
stage() {
	echo "  $(cut -d ' ' -f 1 /proc/uptime) s: $1"
}

# has STATUS TEXT COMMAND...: the command ends like that, and says TEXT (a basic expression), if any
has() {
	want=$1 text=$2
	shift 2
	"$@" >"$scratch/said" 2>&1
	got=$?
	[ "$got" -eq "$want" ] && { [ -z "$text" ] || grep -q -- "$text" "$scratch/said"; } && return
	failed=1
	echo "FAIL in the guest: $*: status $got, wanted $want and '$text'"
	tail -n 12 "$scratch/said" | sed 's/^/  /'
}

identity() {
	has 0 'Msft' sg_inq "$1"
	has 0 'Supported VPD pages' sg_vpd -a "$1"
	has 0 'designator type: NAA' sg_vpd -p di "$1"
	has 0 'Maximum compare and write length' sg_vpd -p bl "$1"
	has 0 'Non-rotating medium' sg_vpd -p bdc "$1"
	has 0 'Provisioning type: .*thin' sg_vpd -p lbpv "$1"
	has 0 'Logical blocks per physical block exponent=3' sg_readcap -l "$1"
	has 0 'Informational exceptions control' sg_modes -a "$1"
	has 0 'Total uncorrected errors = 0' sg_logs -a "$1"
	has 0 'Compare and write' sg_opcodes "$1"
	has 0 '' sg_turs "$1"
	has 0 'No Sense' sg_requests "$1"
	has 0 'mapped (or unknown)' sg_get_lba_status -l 5 "$1"
}

blocks() {
	tr '\0' x </dev/zero | head -c 8192 >"$scratch/x"
	{ head -c 512 "$scratch/x" && head -c 512 /dev/zero; } >"$scratch/x0"
	has 0 '' sg_dd "if=$scratch/x" "of=$1" bs=512 seek=100
	has 0 '' sg_verify -b 1 -l 100 -c 16 -n 8192 -i "$scratch/x" "$1"
	has 14 'Miscompare' sg_verify -b 1 -l 101 -c 16 -n 8192 -i "$scratch/x" "$1"
	has 0 '' sg_compare_and_write -i "$scratch/x0" -l 100 -n 1 -x 1024 "$1"
	has 14 'Miscompare at byte offset: 0' sg_compare_and_write -i "$scratch/x0" -l 100 -n 1 -x 1024 "$1"
	has 0 '' sg_write_same --16 -l 100 -n 64 -i "$scratch/x" -x 512 "$1"
	has 0 '' sg_dd "if=$1" "of=$scratch/y" bs=512 skip=148 count=16
	check "WRITE SAME wrote its block" cmp "$scratch/x" "$scratch/y"
	has 0 '' sg_unmap --force -l 148 -n 16 "$1"
	has 0 '' sg_dd "if=$1" "of=$scratch/y" bs=512 skip=148 count=16
	check "UNMAP left zeroes" cmp -n 8192 /dev/zero "$scratch/y"
	has 0 '' sg_sync "$1"
	has 0 '' sg_start --stop "$1"
	has 0 '' sg_start --start "$1"
	has 0 '' blkdiscard "$1"
}

reservations() {
	has 0 'Write Exclusive, all registrants: 1' sg_persist -i -c "$1"
	has 0 '' sg_persist -o -G -S 0xabc "$1"
	has 0 '' sg_persist -o -R -K 0xabc -T 5 "$1"
	has 0 'Reservation holder' sg_persist -i -s "$1"
	has 0 '' sg_persist -o -L -K 0xabc -T 5 "$1"
	has 0 '' sg_persist -o -C -K 0xabc "$1"
	has 0 'NO registered' sg_persist -i -k "$1"
}

# A guest that turns the write cache off finds it off.
write_cache() {
	type=$(echo /sys/block/"${1##*/}"/device/scsi_disk/*/cache_type)
	echo 'write through' >"$type"
	has 0 'write through' cat "$type"
	has 0 '^08 12 00' sg_wr_mode -p 8 "$1"
	echo 'write back' >"$type"
	has 0 '^08 12 04' sg_wr_mode -p 8 "$1"
}

dvd() {
	mkdir -p /mnt/dvd
	has 0 'cd/dvd' sg_inq "$1"
	has 0 'DVD-ROM' sg_get_config "$1"
	has 0 '' mount -o ro "$1" /mnt/dvd
	check "what is on the DVD" sh -c 'cd /mnt/dvd && sha256sum -c sum'
	check "the bay can be told" bay_begin /mnt/dvd/uio_guest
	has 0 '' umount /mnt/dvd
}

# What candela was told of them.
shown() {
	check "values of $1" values "SIZE=$2" "LOG-SEC=$3" PHY-SEC=4096 "MIN-IO=4096" "RO=$4" ROTA=0 \
		TYPE=disk "VENDOR=Msft" "MODEL=Virtual\x20Disk" "$1"
	check "serial number of $1" serials "$1"
	check "hdparm of $1" asked_by_hdparm "$1" "$4"
}

resets=$*
for module in sg sr_mod isofs; do
	modprobe $module
done
disk=$(block 131072) large=$(block 49152) fixed=$(block 24576)
for drive in /sys/block/sr*; do
	[ "${drive##*/}" = "$(bay_block 0)" ] || dvd=/dev/${drive##*/}
done
stage identity
identity "/dev/$disk"
stage blocks
blocks "/dev/$disk"
stage reservations
reservations "/dev/$disk"
stage write_cache
write_cache "/dev/$disk"
stage dvd
dvd "$dvd"
stage shown
shown "$disk" 67108864 512 0
shown "$large" 25165824 4096 0
shown "$fixed" 12582912 512 1
check "discards of $disk" discards "$disk" 4096
check "discards of $large" discards "$large" 4096
stage "swaps, among resets of another controller"
# shellcheck disable=SC2086 # words
resets_on "$disk" $resets
swaps
stage resized
resized
stage "the last reset"
resets_off
stage end
exit "$failed"
