# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# initramfs.sh: the parts of an initramfs: busybox with its links, some of a kernel's modules with
# all they need, and the archive. Sourced after lib.sh.
#
# Nothing is compressed, neither the archive nor the modules in it: reading a few megabytes more is
# quicker than unpacking them in a guest.

# initramfs_busybox ROOT BUSYBOX: the usual folders, and a link for each applet
initramfs_busybox() {
	mkdir -p -- "$1/bin" "$1/etc" "$1/dev" "$1/proc" "$1/sys" "$1/run" "$1/tmp" "$1/usr"
	ln -s bin "$1/sbin"
	ln -s ../bin "$1/usr/bin"
	ln -s ../bin "$1/usr/sbin"
	cp -- "$2" "$1/bin/busybox"
	"$2" --list | while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
	done
}

# initramfs_modules ROOT KERNEL MODULE...: copy the modules and their dependencies, decompressed,
# with modules.dep, modules.order and modules.builtin made for them. A module the kernel has built
# in is skipped, and so is an unknown one with a question mark behind its name.
initramfs_modules() {
	modules_root=$1 modules_kernel=$2
	shift 2
	modules_release=$(ls -- "$modules_kernel/lib/modules")
	modules_from=$modules_kernel/lib/modules/$modules_release
	modules_to=$modules_root/lib/modules/$modules_release
	mkdir -p -- "$modules_to"
	modules_paths=$(modules_closure "$modules_from" "$@")
	printf '%s\n' "$modules_paths" | while read -r path; do
		mkdir -p -- "$modules_to/${path%/*}"
		module_unpack "$modules_from/$path" "$modules_to"/"$(module_plain "$path")"
	done
	cp -- "$modules_from/modules.builtin" "$modules_from/modules.builtin.modinfo" "$modules_to"
	modules_order "$modules_from/modules.order" "$modules_to"
	# newer kmods look under /usr/lib
	ln -s ../lib "$modules_root/usr/lib"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$modules_root" "$modules_release"
	rm -f -- "$modules_to"/modules.*.bin "$modules_to/modules.symbols" "$modules_to/modules.devname"
}

# modules_closure DIRECTORY MODULE...: the paths of the modules and of what they need
modules_closure() {
	closure_dir=$1
	shift
	printf '%s\n' "$@" | awk '
		function name(path) {
			sub(/.*\//, "", path)
			sub(/\.ko(\.[a-z0-9]+)?$/, "", path)
			gsub(/-/, "_", path)
			return path
		}
		FILENAME ~ /modules.builtin$/ { builtin[name($1)] = 1; next }
		FILENAME ~ /modules.dep$/ {
			sub(/:/, "", $1)
			path[name($1)] = $1
			needs[$1] = $0
			next
		}
		{
			wanted = $1
			optional = sub(/\?$/, "", wanted)
			gsub(/-/, "_", wanted)
			if (wanted in path) {
				count = split(needs[path[wanted]], list, " ")
				for (i = 1; i <= count; i++) print list[i]
			} else if (!(wanted in builtin) && !optional) {
				print "images: the kernel has no module " wanted >"/dev/stderr"
				exit 1
			}
		}' "$closure_dir/modules.builtin" "$closure_dir/modules.dep" - >"$modules_to/closure" ||
		die "the modules of $closure_dir are incomplete"
	sort -u -- "$modules_to/closure"
	rm -f -- "$modules_to/closure"
}

# module_plain PATH: the path without a compression's suffix
module_plain() {
	printf '%s.ko\n' "${1%.ko*}"
}

module_unpack() {
	case $1 in
	*.ko) cp -- "$1" "$2" ;;
	*.ko.xz) xz -dc -- "$1" >"$2" ;;
	*.ko.zst) zstd -qdc -- "$1" >"$2" ;;
	*.ko.gz) gzip -dc -- "$1" >"$2" ;;
	*) die "a module compressed in an unknown way: $1" ;;
	esac
}

# modules_order FROM TO-DIRECTORY: the kernel's load order, of the modules copied only
modules_order() {
	while read -r path; do
		path=$(module_plain "$path")
		if [ -e "$2/$path" ]; then
			printf '%s\n' "$path"
		fi
	done <"$1" >"$2/modules.order"
}

# initramfs_pack ROOT FILE
initramfs_pack() {
	(cd -- "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}
