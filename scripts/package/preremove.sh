#!/bin/sh
# Before the last version goes ("remove" is Debian's word, 0 is RPM's).
set -e
if [ -d /run/systemd/system ] && { [ "$1" = remove ] || [ "$1" = 0 ]; }; then
	systemctl disable --now rtpsidecar.service || true
fi
