#!/bin/sh
# After removal; a purge leaves nothing.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ] || [ "$1" = 0 ]; then
	if getent passwd rtpsidecar >/dev/null; then userdel rtpsidecar; fi
	if getent group rtpsidecar >/dev/null; then groupdel rtpsidecar; fi
	rm -rf /etc/systemd/system/rtpsidecar.service.d
	[ ! -d /etc/rtpsidecar ] || rmdir --ignore-fail-on-non-empty /etc/rtpsidecar
fi
