package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	opensipscfg "rtpsidecar/opensips-cfg"
	lab "rtpsidecar/scripts/webrtclab"
)

// database is a server in the relay's network, or a file, that begins empty.
type database struct {
	kind, url string
	load      func(sql string) error // runs statements
}

// newDatabase starts one of this kind, which ends with the test, or says what is missing for it.
func newDatabase(t *testing.T, kind string) (d *database, missing string) {
	t.Helper()
	// Not below t.TempDir: a server runs as another user.
	dir, err := os.MkdirTemp("", "e2e-"+kind+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	switch kind {
	case "sqlite":
		if m := lab.Missing("sqlite3"); m != "" {
			return nil, m
		}
		file := filepath.Join(dir, "sip.sqlite")
		return &database{kind, "sqlite://" + file, func(sql string) error {
			return feed(exec.Command("sqlite3", "-bail", file), sql)
		}}, ""
	case "mysql":
		if m := lab.Missing("mariadb-install-db", "mariadbd", "mariadb"); m != "" {
			return nil, m
		}
		socket := filepath.Join(dir, "socket")
		if out, err := exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal",
			"--skip-test-db", "--datadir="+filepath.Join(dir, "data")).CombinedOutput(); err != nil {
			t.Fatalf("mariadb-install-db: %v\n%s", err, out)
		}
		serve(t, nil, "mariadbd", "--no-defaults", "--user=root", "--datadir="+filepath.Join(dir, "data"), "--socket="+socket,
			"--bind-address=127.0.0.1", "--port=3306", "--innodb-buffer-pool-size=16M")
		load := func(db, sql string) error {
			return feed(exec.Command("mariadb", "--no-defaults", "--socket="+socket, "--user=root", db), sql)
		}
		awaitDatabase(t, func() error {
			return load("", "create database if not exists sip; create or replace user sip@'127.0.0.1' identified by 'pw'; grant all on sip.* to sip@'127.0.0.1'")
		})
		return &database{kind, "mysql://sip:pw@127.0.0.1:3306/sip", func(sql string) error { return load("sip", sql) }}, ""
	default:
		bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
		account, noUser := user.Lookup("postgres")
		if err != nil || len(bin) == 0 || noUser != nil {
			return nil, "postgresql"
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		who := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		password := filepath.Join(dir, "password")
		if err := os.WriteFile(password, []byte("pw"), 0o644); err != nil {
			t.Fatal(err)
		}
		initdb := exec.Command(filepath.Join(bin[0], "initdb"), "-D", filepath.Join(dir, "data"), "-U", "sip", "-A", "scram-sha-256", "--pwfile", password)
		initdb.SysProcAttr = &syscall.SysProcAttr{Credential: who}
		initdb.Dir = dir
		if out, err := initdb.CombinedOutput(); err != nil {
			t.Fatalf("initdb: %v\n%s", err, out)
		}
		serve(t, account, filepath.Join(bin[0], "postgres"), "-D", filepath.Join(dir, "data"), "-k", dir, "-h", "127.0.0.1", "-p", "5432")
		load := func(db, sql string) error {
			cmd := exec.Command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", dir, "-U", "sip", db)
			cmd.Env = append(os.Environ(), "PGPASSWORD=pw")
			return feed(cmd, sql)
		}
		awaitDatabase(t, func() error { return load("postgres", "select 1") })
		if err := load("postgres", "create database sip"); err != nil {
			t.Fatal(err)
		}
		return &database{kind, "postgres://sip:pw@127.0.0.1:5432/sip", func(sql string) error { return load("sip", sql) }}, ""
	}
}

func feed(cmd *exec.Cmd, sql string) error {
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.Args[0], err, out)
	}
	return nil
}

// slowContacts makes PostgreSQL take a second for each contact that is read.
const slowContacts = `
	create function slow(text) returns boolean language plpgsql cost 1000000 as 'begin perform pg_sleep(1); return true; end';
	alter table location rename to contact;
	create view location as select * from contact where slow(contact);
`

func awaitDatabase(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("the database does not come up: %v", err)
}

// serve runs a server in the relay's network, as this user if one is given, until the test ends.
func serve(t *testing.T, as *user.User, argv ...string) {
	t.Helper()
	if as != nil {
		argv = append([]string{"setpriv", "--reuid", as.Uid, "--regid", as.Gid, "--clear-groups"}, argv...)
	}
	cmd := lab.RelayCommand(context.Background(), argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, "/"
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // PostgreSQL's word for "now"
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", argv[0], log.String())
		}
	})
}

// TestStorage keeps accounts, contacts and translations in a database. A phone that registers before the proxy restarts
// is called after it.
func TestStorage(t *testing.T) {
	programs, err := proxyPrograms()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"sqlite", "mysql", "postgres"} {
		for _, p := range programs {
			if !p.opensips() {
				continue
			}
			t.Run(kind+"/"+p.name, func(t *testing.T) {
				if _, err := os.Stat(filepath.Join(p.modules, "db_"+kind+".so")); err != nil {
					t.Logf("NOT TESTED HERE: this OpenSIPS has no db_%s", kind)
					return
				}
				db, missing := newDatabase(t, kind)
				if missing != "" {
					t.Logf("NOT TESTED HERE: %s is not installed", missing)
					return
				}
				storage(t, p, db)
			})
		}
	}
}

func storage(t *testing.T, p proxyProgram, db *database) {
	first, more := true, ""
	d := deployment{table: "modern",
		change: func(v *opensipscfg.Values) {
			v.Users = nil
			v.Storage = opensipscfg.Storage{Kind: db.kind, URL: db.url}
			v.Optional.Translations.Rows = nil
		},
		prepare: func(dir string) error {
			// The schema may be read again; what is in the tables stays.
			schema, err := os.ReadFile(filepath.Join(dir, "schema.sql"))
			if err == nil {
				err = db.load(string(schema))
			}
			if err != nil {
				return err
			}
			if !first {
				return db.load(more)
			}
			first = false
			return db.load(accounts(db.kind) + fmt.Sprintf(
				"insert into translations (prefix, strip, prepend, gateway) values ('+49800', 3, '0', '%[1]s:%[2]d'), ('+498009', 3, '0', '%[1]s:9');",
				lab.PhoneAddr, portGateway))
		},
	}
	s := newStage(t, p, d, false)
	caller, callee := s.phone(alice, false), s.phone(bob, false)
	talk(s, caller, callee)
	s.run("wrong password", func(s *stage) {
		q := s.unregistered(account{"alice", digestDomain, "wrong"}, false)
		if code, err := q.register(s.ctx, 600); err != nil || code != 401 {
			s.Errorf("got %d, %v", code, err)
		}
	})
	s.run("gateway", func(s *stage) { nationalNumber(s, caller) })
	s.restart()
	s.run("registered before the restart", func(s *stage) { talk(s, caller, callee) })
	s.run("nobody there", func(s *stage) {
		d, err := caller.call(s.ctx, carol.aor(), caller.sdp("sendrecv"))
		s.must(err)
		r, err := d.responseWithin(s.ctx, 200, 2*patience) // a contact might still be read
		s.must(err)
		if r.code() != 480 {
			s.Errorf("got %s", r.start)
		}
		s.must(d.acknowledge(r, ""))
	})
	if db.kind != "postgres" {
		return
	}
	more = slowContacts
	s.restart()
	s.run("called before the contacts are read", func(s *stage) {
		d, err := caller.call(s.ctx, callee.aor(), caller.sdp("sendrecv"))
		s.must(err)
		given, err := caller.call(s.ctx, carol.aor(), caller.sdp("sendrecv"))
		s.must(err)
		_, err = given.response(s.ctx, 100)
		s.must(err)
		s.must(given.cancel(s.ctx))
		e, err := callee.called(s.ctx)
		s.must(err)
		converse(s, d, e)
	})
}

// accounts are the statements of docs/opensips.md for the lab's users.
func accounts(kind string) string {
	var sql strings.Builder
	for _, a := range []account{alice, bob, carol} {
		ha1 := fmt.Sprintf("md5('%s:%s:%s')", a.user, a.domain, a.password)
		if kind == "sqlite" { // has no md5
			ha1 = "'" + hash(a.user+":"+a.domain+":"+a.password) + "'"
		}
		fmt.Fprintf(&sql, "insert into subscriber (username, domain, ha1) values ('%s', '%s', %s);\n", a.user, a.domain, ha1)
	}
	return sql.String()
}
