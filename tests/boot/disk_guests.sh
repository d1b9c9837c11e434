# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # read in by guests, which has the rest
# Stock guests and their disks: images of other formats and an NBD server, a disk that fails, places on
# controllers and buses, and SCSI as sg3-utils see it.

# served_root KIND BACKEND: the root is an image that another program reads (qcow2, vhdx), or an NBD
# server's. What the guest writes and flushes is there afterwards, and the file system is whole.
served_root() {
	kernel 6.12-cloud || return
	image=$scratch/root.$1
	if [ "$1" = nbd ]; then
		cp --sparse=always "$disk" "$image"
		qemu-nbd --fork --persistent --pid-file="$scratch/nbd.pid" -f raw -k "$scratch/nbd" "$image" ||
			return
		image="nbd+unix:///?socket=$scratch/nbd"
	else
		qemu-img convert -O "$1" "$disk" "$image" || return
	fi
	headless --memory 512M --hyperv "$2" --disk "$image,iops=20000" --append 'root=LABEL=root rw' -- sh -c '
		dd if=/dev/urandom of=/proof bs=64k count=128 conv=fsync 2>/dev/null
		rm -f /usr/share/doc/*/copyright
		fstrim / && echo 3 >/proc/sys/vm/drop_caches && sha256sum </proof
		mount -o remount,ro /'
	if [ "$1" = nbd ]; then
		pid=$(cat "$scratch/nbd.pid")
		kill "$pid"
		while [ -d "/proc/$pid" ]; do sleep 0.1; done
	fi
	wanted 0 command || return
	grep -q '"write": *{ *"ops": *[1-9]' "$scratch/result" ||
		{ echo "the result has no writes"; return 1; }
	if [ "$1" = nbd ]; then
		mv "$scratch/root.nbd" "$scratch/root.img"
	else
		qemu-img convert -O raw "$scratch/root.$1" "$scratch/root.img" || return
	fi
	rm -f "$scratch/root.$1"
	fsck_clean "$scratch/root.img" || return
	PATH=$PATH:/usr/sbin:/sbin debugfs -R 'cat /proof' "$scratch/root.img" 2>/dev/null | sha256sum |
		cmp - "$scratch/out"
}

# stopped_by_disk: a disk whose file system is full, with --on-io-error report and stop.
stopped_by_disk() {
	kernel 6.12-cloud || return
	mkdir -p "$scratch/full"
	mount -t tmpfs -o size=4M full "$scratch/full" || return
	truncate -s 16M "$scratch/full/disk"
	for what in report stop; do
		# shellcheck disable=SC2016 # the guest's shell expands it; which disk is sda is chance
		headless --memory 512M --disk "$disk,ephemeral" --disk "$scratch/full/disk,aio=threads" \
			--append 'root=LABEL=root rw' --on-io-error $what -- sh -c \
			'for block in /sys/block/sd*; do [ "$(cat $block/size)" = 32768 ] && break; done
			dd if=/dev/zero of="/dev/${block##*/}" bs=64k oflag=direct 2>/dev/null; echo "dd: $?"'
		cp "$scratch/out" "$scratch/out.$what"
		[ $what = stop ] || wanted 0 command || break
	done
	umount "$scratch/full"
	grep -q '^dd: 1' "$scratch/out.report" || { echo "the guest was not told"; return 1; }
	wanted 1 host || return
	grep -q 'write at byte [0-9]*: No space left on device; the guest was stopped' "$scratch/err"
}

# storage_guest KERNEL CPUS BACKEND MOVES: disks on two controllers, two targets and the IDE bus
storage_guest() {
	kernel "$1" || return
	for size in 2 3 4 5 6; do
		rm -f "$scratch/disk$size" && truncate -s "${size}M" "$scratch/disk$size" || return
	done
	head -c 2M /dev/urandom >"$scratch/disk2"
	headless --memory 512M --cpus "$2" --io 2 --hyperv "$3" \
		--disk "$scratch/disk2,controller=1,target=1,lun=3" --disk "$scratch/disk3,lun=9" \
		--disk "$scratch/disk4" --disk "$scratch/disk5,bus=ide" \
		--disk "$scratch/disk6,bus=ide,controller=1,target=1" -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/storage.sh")" storage "$2" "$4" \
		"4096:1:3:$2" "6144:0:9:$2" "8192:0:0:$2" 10240:0:0:1 12288:1:0:1
	cat "$scratch/out"
	wanted 0 command
}

# scsi_guest KERNEL BACKEND: what sg3-utils say of a disk and of a drive with a DVD in it
scsi_guest() {
	kernel "$1" || return
	rm -rf "$scratch/dvd" "$scratch/scsi.img" && mkdir "$scratch/dvd"
	head -c 300000 /dev/urandom >"$scratch/dvd/data"
	(cd "$scratch/dvd" && sha256sum data >sum)
	genisoimage -quiet -R -o "$scratch/dvd.iso" "$scratch/dvd" || return
	truncate -s 64M "$scratch/scsi.img"
	headless --hyperv "$2" --disk "$disk,ephemeral" --disk "$scratch/scsi.img" \
		--dvd "$scratch/dvd.iso" --append 'root=LABEL=root rw' -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/scsi.sh")"
	cat "$scratch/out"
	wanted 0 command
}
