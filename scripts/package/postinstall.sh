#!/bin/sh
# After installing or upgrading: the user, and the unit if systemd runs. Nothing is started on the first installation:
# the operator has an interface to name.
set -e
if ! getent group rtpsidecar >/dev/null; then groupadd --system rtpsidecar; fi
if ! getent passwd rtpsidecar >/dev/null; then
	useradd --system --gid rtpsidecar --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin rtpsidecar
fi
chgrp rtpsidecar /etc/rtpsidecar/rtpsidecar.conf # it may hold the token of the status page
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart rtpsidecar.service
fi
