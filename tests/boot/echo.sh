# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock guest of candela_devices, in its initramfs, as `-- sh -c "$(cat guest.sh
# uio.sh echo.sh)" echo PACKETS`: the echo device by uio_hv_generic.

uio_load
device=$(vmbus_devices "$echo_class" | head -n 1)
check "the class is given to the driver, which binds" uio_new_id "$echo_class" "$device"
check "packets come back" uio_guest echo "$device" "$1"
sed 's/^/  /' /run/out
check "they do when it is opened again" uio_guest echo "$device" 500
check "the driver lets go" sh -c "echo ${device##*/} >/sys/bus/vmbus/drivers/uio_hv_generic/unbind"
check "no warning in dmesg" no_warnings
exit "$failed"
