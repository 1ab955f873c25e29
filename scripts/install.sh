#!/usr/bin/env bash
# scripts/install.sh [OPTION..], rtpsidecar-install in packages - a SIP proxy for browsers and phones with its
# media relay, and a video conference, on this machine: OpenSIPS, rtpsidecar, systemd units. As root, on Debian 12 or 13
# or a RHEL-like 9 or 10.
#
#   --domain NAME        SIP domain; users need a password there, in conf.NAME everyone may register
#   --user NAME          a first user (default: who runs this)
#   --password TEXT      that user's password (default: made up, kept in the values file)
#   --address A[!B]      address to listen on, and the one that the world sees (default: of the default route)
#   --address6 A[!B]     the same for IPv6 (default: none)
#   --cert FILE --key FILE   PEM files for TLS, WSS and HTTPS, copied: run again when they are renewed
#   --self-signed        make a pair for a lab (default when no files are given)
#   --binary FILE        rtpsidecar (default: bin/rtpsidecar of this checkout, built if there is Go; a package's own is
#                        used where it is)
#   --opensips FILE      an OpenSIPS that is here already, not from a package
#   --opensips-release V which release the OpenSIPS project's repository shall give: 3.4, 3.6 (default) or 4.0
#   --no-conference      without the conference page
#   --no-start           install and check, start nothing
#   --yes                ask nothing
#   --dry-run            print what would be done
#   --uninstall          remove what earlier runs added
#
# Without --yes and on a terminal it asks for domain and user; Enter takes what stands in brackets. Running it again with
# the same answers changes nothing; what is given anew is changed, and only what is affected starts again.
# A setting that no option here covers goes into /etc/rtpsidecar/local.yaml, which stays as it is.
set -euo pipefail

# ROOT prefixes every path that is written, for packaging and tests: programs still run from /, no user is made and
# nothing is started.
ROOT=${ROOT:-}
OS_RELEASE=${OS_RELEASE:-/etc/os-release}
ETC=/etc/rtpsidecar
STATE=/var/lib/rtpsidecar-install
MANIFEST=$STATE/added # what was added, one "kind name" a line, oldest first
UNITS=/etc/systemd/system
BIN=/usr/local/bin/rtpsidecar
APT_KEY=/usr/share/keyrings/opensips-org.gpg
APT_LIST=/etc/apt/sources.list.d/opensips.list
NG=127.0.0.1:2223
WS_PORT=5066 WSS_PORT=7443 HTTPS_PORT=8443

domain='' user='' password='' address='' address6='' cert='' key='' binary='' opensips='' release=3.6
conference=yes start=yes ask=yes dry='' uninstall='' self_signed=''
changed='' # units that must start again

say() { printf '== %s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; }

# run does it, or says what it would do.
run() {
	if [ -n "$dry" ]; then printf 'would run: %s\n' "$*"; else "$@"; fi
}

# remember notes what was added, once.
remember() {
	[ -z "$dry" ] || return 0
	mkdir -p "$ROOT$STATE"
	grep -qxF "$*" "$ROOT$MANIFEST" 2>/dev/null || echo "$*" >>"$ROOT$MANIFEST"
}

# put FILE MODE GROUP writes standard input to the file if that differs. It is true if it did.
put() {
	local file=$1 mode=$2 group=$3 new
	new=$(mktemp)
	cat >"$new"
	if [ -e "$ROOT$file" ] && cmp -s "$new" "$ROOT$file" && [ "$(stat -c %a "$ROOT$file")" = "${mode#0}" ]; then
		rm "$new"
		return 1
	fi
	if [ -n "$dry" ]; then
		printf 'would write: %s (mode %s, group %s)\n' "$file" "$mode" "$group"
		rm "$new"
		return 0
	fi
	[ -e "$ROOT$file" ] || remember file "$file"
	mkdir -p "$(dirname "$ROOT$file")" || die "$file: no directory"
	install -m "$mode" -o root -g "$(group_or_root "$group")" "$new" "$ROOT$file" || die "$file cannot be written"
	rm "$new"
	say "wrote $file"
}

group_or_root() { if getent group "$1" >/dev/null; then echo "$1"; else echo root; fi; }

affected() { case " $changed " in *" $1 "*) ;; *) changed="$changed $1" ;; esac; }

arguments() {
	while [ $# -gt 0 ]; do
		case $1 in
		--domain | --user | --password | --address | --address6 | --cert | --key | --binary | --opensips | --opensips-release)
			[ $# -ge 2 ] || die "$1 needs a value"
			case $1 in
			--domain) domain=$2 ;; --user) user=$2 ;; --password) password=$2 ;;
			--address) address=$2 ;; --address6) address6=$2 ;;
			--cert) cert=$2 ;; --key) key=$2 ;;
			--binary) binary=$2 ;; --opensips) opensips=$2 ;; --opensips-release) release=$2 ;;
			esac
			shift
			;;
		--self-signed) self_signed=yes ;;
		--no-conference) conference='' ;;
		--no-start) start='' ;;
		--yes) ask='' ;;
		--dry-run) dry=yes ;;
		--uninstall) uninstall=yes ;;
		-h | --help) usage; exit 0 ;;
		*) die "unknown option $1; see --help" ;;
		esac
		shift
	done
	case $release in 3.4 | 3.6 | 4.0) ;; *) die "--opensips-release $release is not 3.4, 3.6 or 4.0" ;; esac
	if [ -n "$cert" ] || [ -n "$key" ]; then
		[ -z "$self_signed" ] || die "--self-signed and --cert, --key exclude each other"
		[ -r "$cert" ] || die "--cert: cannot read '$cert'"
		[ -r "$key" ] || die "--key: cannot read '$key'"
	fi
}

# before VALUE-NAME is what the last run was given: lines "# NAME: VALUE" on top of the values file.
before() {
	if [ -r "$ROOT$ETC/values.yaml" ]; then sed -n "s/^# $1: //p" "$ROOT$ETC/values.yaml" | head -1; fi
}

question() { # question TEXT DEFAULT
	local answer=''
	if [ -n "$ask" ] && [ -t 0 ]; then
		read -r -p "$1 [$2]: " answer || true
	fi
	printf '%s' "${answer:-$2}"
}

questions() {
	local host
	if [ -z "$domain" ]; then
		domain=$(before domain)
		host=$(hostname -f 2>/dev/null || hostname)
		[ -n "$domain" ] || domain=$(question 'SIP domain' "$host")
	fi
	[[ $domain =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ && ! $domain =~ ^[0-9.]+$ ]] || die "'$domain' is no domain name"
	if [ -z "$user" ]; then
		user=$(before user)
		[ -n "$user" ] || user=$(question 'First user' "${SUDO_USER:-admin}")
	fi
	[[ $user =~ ^[A-Za-z0-9_.-]{1,64}$ ]] || die "'$user' is no user name"
	[ -n "$password" ] || password=$(before password)
	[ -n "$password" ] || password=$(head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 16)
	[[ $password =~ ^[A-Za-z0-9_.,:+=/@%-]+$ ]] || die "the password may have letters, digits and _.,:+=/@%- only"
	[ -n "$address" ] || address=$(before address)
	[ -n "$address" ] || address=$(ip -4 route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
	[ -n "$address" ] || die "no default route: say --address"
	[ -n "$address6" ] || address6=$(before address6)
}

distribution() {
	[ -r "$OS_RELEASE" ] || die "no $OS_RELEASE: which system is this?"
	# shellcheck disable=SC1090
	. "$OS_RELEASE"
	case " ${ID:-} ${ID_LIKE:-} " in
	*' debian '*) family=debian ;;
	*' rhel '* | *' fedora '* | *' centos '*) family=rhel ;;
	*) die "${PRETTY_NAME:-this system} is neither like Debian nor like RHEL; with --opensips FILE it may work nevertheless: use ID_LIKE" ;;
	esac
	codename=${VERSION_CODENAME:-} major=${VERSION_ID:-}
	major=${major%%.*}
	say "system: ${PRETTY_NAME:-$ID}"
}

# What the configuration needs beyond the main package; the names are the same in all of the project's repositories.
module_packages=(opensips-auth-modules opensips-tls-module opensips-tls-openssl-module opensips-tlsmgm-module opensips-wss-module)

# proxy_program makes sure of an OpenSIPS and leaves its path in $opensips, its release in $version.
proxy_program() {
	if [ -z "$opensips" ] && [ -n "$(before opensips)" ]; then opensips=$(before opensips); fi
	if [ -z "$opensips" ]; then opensips=$(command -v opensips || true); fi
	if [ -z "$opensips" ]; then
		"packages_$family"
		opensips=$(command -v opensips || echo /usr/sbin/opensips)
	fi
	if [ ! -x "$opensips" ]; then
		[ -n "$dry" ] || die "$opensips: no such program"
		version=$release
		return
	fi
	version=$("$opensips" -V | sed -n 's/^version: opensips \([0-9]*\.[0-9]*\).*/\1/p')
	case $version in
	3.4 | 3.6 | 4.0) ;;
	3.5) version=3.6 ;;
	4.*) version=4.0 ;;
	*) die "$opensips is of version '$version': the configuration is for 3.4, 3.6 and 4.0" ;;
	esac
	say "OpenSIPS $version: $opensips"
}

some() { case $1 in '' | '(none)') echo none ;; *) echo "$1" ;; esac; }

opensips_by_hand='Build one (https://github.com/OpenSIPS/opensips) and name it with --opensips FILE'

packages_debian() {
	local candidate wanted=() p
	run apt-get update -qq || say "apt-get update failed: going on with the lists that are here"
	candidate=$(apt-cache policy opensips 2>/dev/null | sed -n 's/^  Candidate: //p') || true
	case $candidate in
	3.[4-9]* | [4-9].*) say "OpenSIPS $candidate is among this system's packages" ;;
	*)
		say "this system's packages have no OpenSIPS that is new enough ($(some "$candidate")): taking the OpenSIPS project's, release $release"
		[ -n "$codename" ] || die "no VERSION_CODENAME in $OS_RELEASE"
		command -v curl >/dev/null || install_packages curl ca-certificates
		if ! fetch https://apt.opensips.org/opensips-org.gpg "$APT_KEY"; then
			die "https://apt.opensips.org cannot be reached. Debian itself has no OpenSIPS. $opensips_by_hand"
		fi
		put "$APT_LIST" 0644 root <<-END || true
			deb [signed-by=$APT_KEY] https://apt.opensips.org $codename $release-releases
		END
		run apt-get update -qq || die "the OpenSIPS project's packages cannot be read. $opensips_by_hand"
		;;
	esac
	# A distribution may have all modules in one package.
	for p in "${module_packages[@]}"; do
		if [ -n "$dry" ] || apt-cache show "$p" >/dev/null 2>&1; then wanted+=("$p"); fi
	done
	install_packages opensips "${wanted[@]}"
}

packages_rhel() {
	local candidate='' index rpm url
	url=https://yum.opensips.org/$release/releases/el/$major/$(uname -m)/
	candidate=$(dnf -q list --available opensips 2>/dev/null | awk '$1 ~ /^opensips[.]/ { print $2 }' | tail -1) || true
	candidate=${candidate#*:}
	case $candidate in
	3.[4-9]* | [4-9].*) say "OpenSIPS $candidate is among this system's packages" ;;
	*)
		say "this system's packages have no OpenSIPS that is new enough ($(some "$candidate")): taking the OpenSIPS project's, release $release"
		if [ -n "$dry" ]; then
			printf 'would install: the repository package listed at %s\n' "$url"
		else
			index=$(curl -fsSL "$url") || die "$url cannot be reached. $opensips_by_hand"
			rpm=$(grep -o 'opensips-yum-releases-[0-9A-Za-z._-]*\.rpm' <<<"$index" | sort -V | tail -1)
			[ -n "$rpm" ] || die "$url lists no repository package"
			if ! rpm -q opensips-yum-releases >/dev/null 2>&1; then
				dnf -y -q install "$url$rpm" || die "$url$rpm cannot be installed. $opensips_by_hand"
				remember package opensips-yum-releases
			fi
		fi
		;;
	esac
	install_packages opensips "${module_packages[@]}"
}

# fetch URL FILE keeps what is there.
fetch() {
	[ ! -s "$ROOT$2" ] || return 0
	if [ -n "$dry" ]; then printf 'would fetch: %s -> %s\n' "$1" "$2"; return 0; fi
	mkdir -p "$(dirname "$ROOT$2")"
	curl -fsSL -o "$ROOT$2.new" "$1" || { rm -f "$ROOT$2.new"; return 1; }
	mv "$ROOT$2.new" "$ROOT$2"
	remember file "$2"
}

install_packages() {
	local p missing=()
	for p in "$@"; do
		if [ "$family" = debian ]; then
			dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
		else
			rpm -q "$p" >/dev/null 2>&1 || missing+=("$p")
		fi
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "packages: ${missing[*]}"
	if [ "$family" = debian ]; then
		run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" ||
			die "apt-get could not install ${missing[*]}"
	else
		run dnf -y -q install "${missing[@]}" || die "dnf could not install ${missing[*]}"
	fi
	for p in "${missing[@]}"; do remember package "$p"; done
}

account() { # account NAME: a user without home and shell
	if [ -n "$ROOT" ] || getent passwd "$1" >/dev/null; then return 0; fi
	run useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$1"
	remember user "$1"
}

relay_program() {
	local here
	here=$(cd "$(dirname "$0")/.." && pwd)
	if [ -z "$binary" ]; then
		binary=$here/bin/rtpsidecar
		if [ ! -x "$binary" ] && [ -x "$ROOT$BIN" ]; then return; fi # an earlier run's
		if [ ! -x "$binary" ]; then
			command -v go >/dev/null || [ -x /usr/local/go/bin/go ] || die "no $binary and no Go to build it: say --binary FILE"
			run env PATH="$PATH:/usr/local/go/bin" "$here/scripts/dev" build
		fi
	fi
	[ -x "$binary" ] || [ -n "$dry" ] || die "--binary: '$binary' is no program"
	if [ "$binary" = /usr/bin/rtpsidecar ] && [ -z "$ROOT" ]; then BIN=$binary; fi # the package's: its upgrades count
	[ "$(realpath -m "$binary")" != "$(realpath -m "$ROOT$BIN")" ] || return 0
	if [ ! -x "$binary" ] || ! cmp -s "$binary" "$ROOT$BIN"; then
		[ -e "$ROOT$BIN" ] || remember file "$BIN"
		run mkdir -p "$(dirname "$ROOT$BIN")"
		run install -m 0755 "$binary" "$ROOT$BIN.new"
		run mv "$ROOT$BIN.new" "$ROOT$BIN"
		affected rtpsidecar.service
		affected rtpsidecar-conference.service
	fi
}

certificates() {
	local tls=$ETC/tls new
	if [ -n "$cert" ]; then
		if put $tls/cert.pem 0644 rtpsidecar <"$cert"; then affected rtpsidecar-proxy.service; affected rtpsidecar-conference.service; fi
		if put $tls/key.pem 0640 rtpsidecar <"$key"; then affected rtpsidecar-proxy.service; affected rtpsidecar-conference.service; fi
		return
	fi
	if [ -s "$ROOT$tls/cert.pem" ] && [ -z "$self_signed" ]; then return; fi
	command -v openssl >/dev/null || install_packages openssl
	say "a self-signed certificate for a lab: browsers and phones must be told to trust it"
	if [ -n "$dry" ]; then printf 'would make: %s/cert.pem, key.pem\n' $tls; return; fi
	new=$(mktemp -d)
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$domain" \
		-addext "subjectAltName=DNS:$domain,DNS:conf.$domain,IP:${address#*!}" -keyout "$new/key.pem" -out "$new/cert.pem" 2>/dev/null
	put $tls/cert.pem 0644 rtpsidecar <"$new/cert.pem" || true
	put $tls/key.pem 0640 rtpsidecar <"$new/key.pem" || true
	rm -r "$new"
	affected rtpsidecar-proxy.service
	affected rtpsidecar-conference.service
}

# The answers stand on top as comments, for the next run.
values() {
	local modules='' dir
	for dir in "$(dirname "$(dirname "$opensips")")"/lib{64,,/*}/opensips/modules; do
		if [ -e "$dir/tm.so" ]; then modules=$dir/; fi
	done
	cat <<-END
		# domain: $domain
		# user: $user
		# password: $password
		# address: $address
		# address6: $address6
		# opensips: $opensips
		#
		# Written by install.sh; settings of your own belong into local.yaml beside it.
		opensips: "$version"
		domains:
		  - {name: "$domain", registration: digest}
		  - {name: "conf.$domain", registration: open}
		users:
		  - {name: "$user", password: "$password"}
		listen:
		  ipv4: {address: "${address%%!*}", advertised: "$(advertised "$address")"}
		  ipv6: {address: "${address6%%!*}", advertised: "$(advertised "$address6")"}
		  tls: {on: true, port: 5061}
		  ws: {on: true, port: $WS_PORT}
		  wss: {on: true, port: $WSS_PORT}
		tls:
		  certificate: $ETC/tls/cert.pem
		  key: $ETC/tls/key.pem
		  ca: $(ca_file)
		modulePath: "$modules"
		media:
		  sidecars: [{address: "udp:$NG"}]
	END
}

advertised() { case $1 in *!*) printf '%s' "${1#*!}" ;; esac; }

ca_file() {
	local f
	for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
		if [ -e $f ]; then echo $f; return; fi
	done
	echo $ETC/tls/cert.pem
}

relay_config() {
	cat <<-END
		[rtpengine]
		interface = pub/$address${address6:+;pub/$address6}
		listen-ng = $NG
		port-min = 30000
		port-max = 40000
		log-stderr = true
	END
}

proxy_config() {
	local out before_sum='' after_sum
	if put $ETC/values.yaml 0600 root < <(values); then affected rtpsidecar-proxy.service; fi
	if [ -n "$dry" ]; then
		printf 'would run: %s opensips render --values %s/values.yaml --out %s/opensips\n' "$BIN" $ETC $ETC
		printf 'would run: %s -C -f %s/opensips/opensips.cfg\n' "$opensips" $ETC
		return
	fi
	if [ ! -d "$ROOT$ETC/opensips" ]; then
		install -d -m 0750 -o root -g "$(group_or_root opensips)" "$ROOT$ETC/opensips"
		remember tree "$ETC/opensips"
	fi
	out=$ROOT$ETC/opensips
	before_sum=$(sums "$out")
	render "$ROOT$ETC/values.yaml" "$out"
	after_sum=$(sums "$out")
	[ "$before_sum" = "$after_sum" ] || affected rtpsidecar-proxy.service
	if ! "$opensips" -C -f "$out/opensips.cfg" >/tmp/opensips-check.$$ 2>&1; then
		cat /tmp/opensips-check.$$ >&2
		rm -f /tmp/opensips-check.$$
		die "OpenSIPS does not take the configuration"
	fi
	rm -f /tmp/opensips-check.$$
	say "OpenSIPS takes the configuration"
}

sums() { find "$1" -type f -exec sha256sum {} + | sort; }

# render lays the operator's own settings over the installed ones.
render() {
	local local_values=$ROOT$ETC/local.yaml
	if [ -s "$local_values" ]; then
		"$ROOT$BIN" opensips render --values "$1" --values "$local_values" --out "$2"
	else
		"$ROOT$BIN" opensips render --values "$1" --out "$2"
	fi
}

# hardening is what all units share; a unit adds its own lines.
hardening() {
	cat <<-'END'
		NoNewPrivileges=yes
		ProtectSystem=strict
		ProtectHome=yes
		PrivateTmp=yes
		PrivateDevices=yes
		ProtectKernelTunables=yes
		ProtectKernelModules=yes
		ProtectKernelLogs=yes
		ProtectControlGroups=yes
		ProtectClock=yes
		ProtectHostname=yes
		RestrictNamespaces=yes
		RestrictRealtime=yes
		RestrictSUIDSGID=yes
		LockPersonality=yes
		SystemCallArchitectures=native
		SystemCallFilter=@system-service
		UMask=0027
		Restart=on-failure
		RestartSec=2
		LimitNOFILE=262144
	END
}

unit_relay() {
	cat <<-END
		[Unit]
		Description=rtpsidecar media relay
		After=network-online.target
		Wants=network-online.target

		[Service]
		Type=notify
		ExecStart=$BIN serve --config-file=$ETC/relay.conf
		User=rtpsidecar
		Group=rtpsidecar
		WatchdogSec=30
		CapabilityBoundingSet=
		RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
		MemoryDenyWriteExecute=yes
		$(hardening)
		RestrictRealtime=no
		LimitRTPRIO=1

		[Install]
		WantedBy=multi-user.target
	END
}

unit_proxy() {
	cat <<-END
		[Unit]
		Description=OpenSIPS, registrar and proxy with rtpsidecar
		After=network-online.target rtpsidecar.service
		Wants=network-online.target rtpsidecar.service
		Conflicts=opensips.service

		[Service]
		Type=exec
		ExecStart=$opensips -F -f $ETC/opensips/opensips.cfg -m 128 -M 16 -P /run/rtpsidecar-proxy/pid
		User=opensips
		Group=opensips
		SupplementaryGroups=rtpsidecar
		RuntimeDirectory=rtpsidecar-proxy
		CapabilityBoundingSet=
		RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
		$(hardening)

		[Install]
		WantedBy=multi-user.target
	END
}

unit_conference() {
	cat <<-END
		[Unit]
		Description=video conference in the browser
		After=network-online.target rtpsidecar-proxy.service
		Wants=network-online.target rtpsidecar-proxy.service

		[Service]
		Type=exec
		ExecStart=$BIN conference --listen :$HTTPS_PORT --domain conf.$domain --sip-upstream ws://${address%%!*}:$WS_PORT --cert $ETC/tls/cert.pem --key $ETC/tls/key.pem
		User=rtpsidecar
		Group=rtpsidecar
		CapabilityBoundingSet=
		RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
		MemoryDenyWriteExecute=yes
		$(hardening)

		[Install]
		WantedBy=multi-user.target
	END
}

units() {
	local name wanted=(rtpsidecar rtpsidecar-proxy)
	if put $ETC/relay.conf 0644 root < <(relay_config); then affected rtpsidecar.service; fi
	# A package's units of the same name or on the same ports come back when ours go.
	if [ -n "$start" ] && [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then
		if [ ! -e $UNITS/rtpsidecar.service ] && systemctl --quiet is-enabled rtpsidecar.service 2>/dev/null; then remember unit rtpsidecar.service; fi
	fi
	if put $UNITS/rtpsidecar.service 0644 root < <(unit_relay); then affected rtpsidecar.service; fi
	if put $UNITS/rtpsidecar-proxy.service 0644 root < <(unit_proxy); then affected rtpsidecar-proxy.service; fi
	if [ -n "$conference" ]; then
		wanted+=(rtpsidecar-conference)
		if put $UNITS/rtpsidecar-conference.service 0644 root < <(unit_conference); then affected rtpsidecar-conference.service; fi
	fi
	if [ -z "$start" ] || [ -n "$ROOT" ] || ! { [ -d /run/systemd/system ] || [ -n "$dry" ]; }; then
		[ -z "$start" ] || say "systemd does not run here: the units are written, but NOTHING WAS ENABLED OR STARTED"
		say "not started: systemctl enable --now ${wanted[*]}"
		return
	fi
	run systemctl daemon-reload
	if systemctl --quiet is-enabled opensips.service 2>/dev/null; then
		# The package's own unit would take the same ports.
		run systemctl --quiet disable --now opensips.service
		if ! grep -qxF 'package opensips' "$ROOT$MANIFEST" 2>/dev/null; then remember unit opensips.service; fi
	fi
	for name in "${wanted[@]}"; do
		run systemctl --quiet enable "$name.service"
		case " $changed " in
		*" $name.service "*) run systemctl restart "$name.service" ;;
		*) run systemctl start "$name.service" ;;
		esac
	done
	if [ -n "$dry" ]; then return; fi
	sleep 2
	for name in "${wanted[@]}"; do
		systemctl --quiet is-active "$name.service" || { journalctl -n 20 --no-pager -u "$name.service" >&2; die "$name does not run"; }
	done
}

result() {
	local shown=${address#*!}
	cat <<-END

		SIP          domain $domain at $shown: udp and tcp 5060, tls 5061, ws $WS_PORT, wss $WSS_PORT
		first user   $user@$domain, password in $ETC/values.yaml
	END
	[ -z "$conference" ] || printf 'conference   https://%s:%s/\n' "$shown" $HTTPS_PORT
	printf 'open in the firewall: 5060 udp and tcp, 5061 %s %s %s tcp, 30000-40000 udp\n' $WS_PORT $WSS_PORT "$HTTPS_PORT"
}

remove() {
	local kind name
	[ -s "$ROOT$MANIFEST" ] || die "nothing that an earlier run added: no $MANIFEST"
	if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then
		for name in rtpsidecar-conference rtpsidecar-proxy rtpsidecar; do
			[ ! -e "$ROOT$UNITS/$name.service" ] || run systemctl --quiet disable --now "$name.service"
		done
	fi
	tac "$ROOT$MANIFEST" | while read -r kind name; do
		case $kind in
		file) run rm -f "$ROOT$name" ;;
		tree) run rm -rf -- "$ROOT${name:?}" ;;
		user) run userdel "$name" || say "the user $name stays" ;;
		unit)
			if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then
				run systemctl daemon-reload
				run systemctl --quiet enable --now "$name" || say "$name did not come back"
			fi
			;;
		package)
			distribution >/dev/null
			if [ "$family" = debian ]; then run apt-get purge -y -qq -o Dpkg::Use-Pty=0 "$name"; else run dnf -y -q remove "$name"; fi
			;;
		esac
	done
	run rm -f "$ROOT$MANIFEST"
	for name in $ETC/tls $ETC $STATE; do
		if [ -n "$dry" ]; then
			printf 'would remove if empty: %s\n' "$name"
		elif [ -d "$ROOT$name" ]; then
			rmdir --ignore-fail-on-non-empty "$ROOT$name"
		fi
	done
	if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
	say "removed"
}

main() {
	arguments "$@"
	[ -n "$dry" ] || [ "$(id -u)" = 0 ] || die "this needs root"
	if [ -n "$uninstall" ]; then
		remove
		return
	fi
	distribution
	questions
	proxy_program
	account rtpsidecar
	account opensips
	relay_program
	certificates
	proxy_config
	units
	result
}

main "$@"
