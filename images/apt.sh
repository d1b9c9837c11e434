# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# apt.sh: packages of any Debian suite, unpacked into the cache. Sourced after cache.sh.
#
# A private apt: its own configuration, sources, lists and archives in the cache and an empty
# status file, so the user's apt is neither asked nor changed and no right is needed. Only the mirror,
# the keyring and the Acquire settings (proxies) are the host's own.

# shellcheck disable=SC2154 # $cache: cache.sh
debian_mirror=http://deb.debian.org/debian
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# apt_sources: "URI SUITE COMPONENTS KEYRING" per binary source of the host, from both styles
apt_sources() {
	set -- /etc/apt/sources.list /etc/apt/sources.list.d/*.list
	for list; do
		[ -r "$list" ] || continue
		sed -n 's/#.*//; s/^[[:space:]]*deb[[:space:]]\{1,\}//p' "$list"
	done | awk '{
		key = "-"
		if ($1 ~ /^\[/) {
			if (match($0, /signed-by=[^] ]*/)) key = substr($0, RSTART + 10, RLENGTH - 10)
			sub(/^\[[^]]*\][ \t]*/, "")
		}
		components = $3
		for (i = 4; i <= NF; i++) components = components "," $i
		print $1, $2, components, key
	}'
	for list in /etc/apt/sources.list.d/*.sources; do
		[ -r "$list" ] || continue
		awk 'BEGIN { RS = ""; FS = "\n" } {
			split("", field)
			for (i = 1; i <= NF; i++) if ($i !~ /^#/ && match($i, /^[A-Za-z-]+:/)) {
				value = substr($i, RLENGTH + 1)
				gsub(/^[ \t]+|[ \t]+$/, "", value)
				field[tolower(substr($i, 1, RLENGTH - 1))] = value
			}
			if (field["types"] !~ /(^| )deb( |$)/ || tolower(field["enabled"]) == "no") next
			key = field["signed-by"] ~ /^\// ? field["signed-by"] : "-"
			gsub(/[ \t]+/, ",", field["components"])
			uris = split(field["uris"], uri, /[ \t]+/)
			suites = split(field["suites"], suite, /[ \t]+/)
			for (u = 1; u <= uris; u++) for (s = 1; s <= suites; s++)
				print uri[u], suite[s], field["components"], key
		}' "$list"
	done
}

# apt_host_mirror: "URI KEYRING" of the host's Debian archive; nothing where it has none. Other
# vendors' repositories use the same suite names: only a path that ends in "debian" counts (or a
# mirror list of that name), with the component main, under the archive's keyring or none named.
apt_host_mirror() {
	apt_sources | awk '
		$2 ~ /[\/]|-/ || ("," $3 ",") !~ /,main,/ { next }
		$1 !~ /\/debian\/?$/ && $1 !~ /^mirror\+.*\/debian\.list$/ { next }
		$4 != "-" && $4 !~ /debian-archive/ { next }
		{ print $1, $4; exit }'
}

# apt_setup SUITE: make the private configuration (SUITE may be any suite of the archive)
apt_setup() {
	apt_suite=$1
	apt_dir=$cache/apt/$(apt_suites | tr ' ' +)
	mkdir -p -- "$apt_dir/lists/partial" "$apt_dir/archives/partial"
	: >"$apt_dir/status"
	mirror=$(apt_host_mirror)
	[ -n "$mirror" ] || mirror="$debian_mirror -"
	apt_write_sources "${mirror% *}" "${mirror##* }"
	{
		apt_settings
		apt_host_acquire
	} >"$apt_dir/apt.conf"
}

apt_write_sources() {
	[ "$2" != - ] && [ -r "$2" ] && debian_keyring=$2
	if [ ! -r "$debian_keyring" ]; then
		die "no $debian_keyring: install the package debian-archive-keyring"
	fi
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
		"$1" "$(apt_suites)" "$debian_keyring" >"$apt_dir/debian.sources"
}

# apt_suites: the suite, and before backports the suite they are for: they depend on its packages
apt_suites() {
	case $apt_suite in
	*-backports) printf '%s %s\n' "${apt_suite%-backports}" "$apt_suite" ;;
	*) printf '%s\n' "$apt_suite" ;;
	esac
}

# parts and main come first: they keep the host's files (and their hooks) from being read
apt_settings() {
	cat <<-EOF_CONF
		Dir::Etc::main "/dev/null";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::sourcelist "$apt_dir/debian.sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$apt_dir";
		Dir::State::lists "$apt_dir/lists";
		Dir::State::status "$apt_dir/status";
		Dir::Cache "$apt_dir";
		Dir::Cache::archives "$apt_dir/archives";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		APT::Default-Release "$apt_suite";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::GzipIndexes "true";
		Acquire::Retries "3";
	EOF_CONF
}

apt_host_acquire() {
	apt-config dump | grep -E '^Acquire::' |
		grep -Ev '^Acquire::(Languages|IndexTargets|GzipIndexes|Changelogs|Retries|CompressionTypes)' || :
}

# apt_private COMMAND [ARG...]: an apt command that sees the private configuration only
apt_private() {
	APT_CONFIG=$apt_dir/apt.conf "$@"
}

# apt_refresh: fetch the suite's index where it is missing or a day old. The host's mirror may not
# carry the suite (a partial or internal one): deb.debian.org is tried then.
apt_refresh() {
	if [ -n "$(find "$apt_dir/fresh" -mtime -1 2>/dev/null)" ]; then
		return
	fi
	if ! grep -q "^URIs: $debian_mirror\$" "$apt_dir/debian.sources" && ! apt_update_quietly; then
		say "the host's mirror has no usable $apt_suite: using $debian_mirror"
		apt_write_sources "$debian_mirror" -
	fi
	run_task "fetching the package index of Debian $apt_suite" \
		env "APT_CONFIG=$apt_dir/apt.conf" apt-get -o APT::Status-Fd=1 --error-on=any update
	touch "$apt_dir/fresh"
}

apt_update_quietly() {
	apt_private apt-get -q --error-on=any update >/dev/null 2>&1
}

# apt_version PACKAGE: the version the suite has (needs a fetched index)
apt_version() {
	version=$(apt_private apt-cache show --no-all-versions "$1" 2>/dev/null |
		sed -n 's/^Version: //p')
	[ -n "$version" ] || die "Debian $apt_suite has no package $1"
	printf '%s\n' "$version"
}

# apt_unpack DIRECTORY LABEL WITH PACKAGE...: download packages (WITH is alone, or depends for
# everything they depend on, libc included) and unpack them there. Needs a fetched index.
apt_unpack() {
	unpack_dir=$1 unpack_label=$2 unpack_with=$3
	shift 3
	debs=$unpack_dir.debs
	rm -rf -- "$debs"
	mkdir -p -- "$debs/partial"
	case $unpack_with in
	depends) set -- install -y --download-only -- "$@" ;;
	alone) set -- download -- "$@" ;;
	esac
	# shellcheck disable=SC2016 # for the inner shell
	run_task "$unpack_label" env "APT_CONFIG=$apt_dir/apt.conf" sh -c '
		set -eu
		cd -- "$1"; shift
		apt-get -o APT::Status-Fd=1 -o "Dir::Cache::archives=$PWD" "$@"' \
		sh "$debs" "$@"
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -f - -C "$unpack_dir" \
			--no-same-owner --exclude=./usr/share/doc --exclude=./usr/share/man \
			--exclude=./usr/share/locale --exclude=./usr/share/info
	done
	rm -rf -- "$debs"
}
