# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # read in by guests, which has the rest
# Stock guests and their disks: images of other formats and an NBD server, a disk that fails, places
# on controllers and buses, and SCSI as sg3-utils see it.

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
	debugfs -R 'cat /proof' "$scratch/root.img" 2>/dev/null | sha256sum |
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
		--disk "$scratch/disk2,controller=1,target=1,lun=3,queues=$2" --disk "$scratch/disk3,lun=9" \
		--disk "$scratch/disk4" --disk "$scratch/disk5,bus=ide" \
		--disk "$scratch/disk6,bus=ide,controller=1,target=1" -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/storage.sh")" storage "$2" "$4" \
		"4096:1:3:$2:$2" "6144:0:9:$2:1" "8192:0:0:$2:1" 10240:0:0:1:1 12288:1:0:1:1
	cat "$scratch/out"
	wanted 0 command
}

# disc NAME FILE...: an ISO image, $scratch/NAME.iso, with data, its checksum and these files
disc() {
	rm -rf "${scratch:?}/$1" && mkdir "$scratch/$1" && head -c 3000000 /dev/urandom >"$scratch/$1/data" &&
		(cd "$scratch/$1" && sha256sum data >sum) || return
	iso=$scratch/$1
	shift
	cp "$@" "$iso" && genisoimage -quiet -R -o "$iso.iso" "$iso"
}

# scsi_guest KERNEL BACKEND KIND...: what sg3-utils and others say of disks and of a drive with a
# DVD in it; units that change, and are reset
scsi_guest() {
	kernel "$1" || return
	backend=$2
	shift 2
	echo 1 >"$scratch/1" && echo 2 >"$scratch/2" && disc dvd "$build/tests/boot/uio_guest" &&
		disc first "$scratch/1" && disc second "$scratch/2" || return
	for size in 64 24 12; do
		rm -f "$scratch/scsi$size" && truncate -s "${size}M" "$scratch/scsi$size" || return
	done
	export CANDELA_BAY="$scratch/first.iso $scratch/second.iso"
	with_devices --cpus 2 --hyperv "$backend" --timeout 400 --disk "$disk,ephemeral" \
		--disk "$scratch/scsi64,controller=1" \
		--disk "$scratch/scsi24,logical_block=4096" --disk "$scratch/scsi12,ro" \
		--dvd "$scratch/dvd.iso" --append 'root=LABEL=root rw' -- \
		sh -c "$(cd "$tests" && cat guest.sh uio.sh values.sh bay.sh scsi.sh)" scsi "$@"
	unset CANDELA_BAY
	cat "$scratch/out"
	wanted 0 command || return
	grep 'storvsp: .* reset' "$scratch/err"
}

# fio_guest KERNEL CPUS BACKEND MIB ROUNDS: what verify.sh says of a raw image past the host's page
# cache (on an ext4 of its own, for tmpfs knows no O_DIRECT), of a qcow2 one and of a block device
# that is written back (whose discards the kernel takes from who has claimed it alone)
fio_guest() {
	kernel "$1" || return
	size=$(($4 * 4))
	# in the lab nobody else loads them
	for module in loop ext4; do
		modprobe -q $module
	done
	mkdir -p "$scratch/direct" && rm -f "$scratch/direct.img" "$scratch/fio.qcow2" &&
		truncate -s "$((size + 64))M" "$scratch/direct.img" &&
		mke2fs -q -F -t ext4 "$scratch/direct.img" &&
		mount -o loop "$scratch/direct.img" "$scratch/direct" || return
	truncate -s "$((size + 8))M" "$scratch/block.img" && loop=$(losetup -f --show "$scratch/block.img") || return
	truncate -s "${size}M" "$scratch/direct/raw" && qemu-img create -q -f qcow2 "$scratch/fio.qcow2" "$((size + 4))M" &&
		headless --memory 512M --cpus "$2" --io 2 --hyperv "$3" --timeout $((200 + $5 * 200)) \
			--disk "$disk,ephemeral,queues=$2" --disk "$scratch/direct/raw,cache=none" \
			--disk "$scratch/fio.qcow2,logical_block=4096" --disk "$loop,cache=writeback" \
			--append 'root=LABEL=root rw' -- \
			sh -c "$(cd "$tests" && cat guest.sh values.sh verify.sh)" verify "$4" "$2" "$5" \
			$((size * 2048)) $(((size + 4) * 2048)) $(((size + 8) * 2048))
	# what is left of the file, where half was discarded
	used=$(($(stat -c %b "$scratch/direct/raw") / 2048))
	umount -l "$scratch/direct" # the kernel lets go of a ring's files a little later
	losetup -d "$loop"
	loop=
	cat "$scratch/out"
	grep '^  round' "$scratch/out" >"$figures"
	wanted 0 command && busy_queues "$2" || return
	[ "$used" -le $((size / 2 + 1)) ] || { echo "the file has $used MiB, half of $size were discarded"; return 1; }
	qemu-img check -q "$scratch/fio.qcow2"
}

# busy_queues N: so many channels of one controller carried requests
busy_queues() {
	tr -d ' \n' <"$scratch/result" | grep -o '"device":"storvsp"[^}]*' | grep -v '"packets_in":.\{0,2\},' | tee "$scratch/queues"
	[ "$(wc -l <"$scratch/queues")" -ge "$1" ] || { echo "not $1 channels"; return 1; }
}
