package redis_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/tidemark-dev/tidemark/topology"
)

// answering returns the address of a server that answers each command with a
// line, or if it is told to greet, everybody who comes, and hangs up.
func answering(t *testing.T, line string, greets bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if greets {
					io.WriteString(conn, line)
					return
				}
				for in := bufio.NewReader(conn); commandRead(in); {
					fmt.Fprintf(conn, "%s\r\n", line)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// commandRead reads one command and returns whether there was one.
func commandRead(in *bufio.Reader) bool {
	var n, size int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &n); err != nil {
		return false
	}
	for range n {
		if _, err := fmt.Fscanf(in, "$%d\r\n", &size); err != nil {
			return false
		}
		if _, err := in.Discard(size + 2); err != nil {
			return false
		}
	}
	return true
}

func TestRedisRefusals(t *testing.T) {
	for _, c := range []struct {
		line string
		cure string // "" for a passing error
	}{
		{"-NOAUTH Authentication required.", "redis://user:password@"},
		{"-ERR Protocol error: unauthenticated multibulk length", "redis://user:password@"},
		{"-WRONGPASS invalid username-password pair or user is disabled.", "password wrong?"},
		{"-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", "leave it out"},
		{"-NOPERM this user has no permissions to run the 'evalsha' command", "+evalsha"},
		{"-ERR The user executing the script can't run this command or subcommand script: f68, on @user_script:12.", "+mset"},
		{"-ERR ACL failure in script: User sinks has no permissions to run the 'mset' command script: f68, on @user_script:12.", "+mset"},
		{"-WRONGTYPE Operation against a key holding the wrong kind of value", "delete it"},
		{"-ERR Error running script (call to f_34c): @user_script:9: WRONGTYPE Operation against a key", "delete it"},
		{"-ERR unknown command `EVALSHA`, with args beginning with: `hidden`, `1`, ", "EVALSHA"},
		{"-ERR Error running script (call to f_34c): @user_script:9: @user_script: 9: Unknown Redis command called from Lua script", "EVALSHA"},
		{"-ERR DB index is out of range", "databases"},
		{"-MOVED 3999 127.0.0.1:6381", "Cluster"},
		{"-ERR Script attempted to access a non local key in a cluster node", "Cluster"},
		{"HTTP/1.1 400 Bad Request", "no Redis"},
		{"-ERR something that shows hidden", ""},
		{"-OOM command not allowed when used memory > 'maxmemory'.", ""},
		{"-LOADING Redis is loading the dataset in memory", ""},
		{"-READONLY You can't write against a read only replica.", ""},
		{"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", ""},
		{"-CLUSTERDOWN The cluster is down", ""},
		{"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", ""},
		{"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", ""},
		{"-ERR max number of clients reached", ""},
	} {
		addr := answering(t, c.line, false)
		for _, url := range []string{addr, "redis://:hidden@" + addr} {
			sink := newRedis(t, url)
			from := topology.Source{Table: "hello"}
			_, open := sink.Open(t.Context(), from, 0)
			expect(t, "open "+url, open, addr, c.line, c.cure)
			apply := sink.Apply(t.Context(), topology.Batch{Source: from, Epoch: 1, To: "1"})
			expect(t, "apply to "+url, apply, addr, c.line, c.cure)
			for _, keys := range sink.Keys(t.Context(), topology.Source{Table: "hello"}) {
				expect(t, "keys of "+url, keys, addr, c.line, c.cure)
			}
		}
	}
}

// expect checks that an error names the address, what was said and the cure,
// and not the password.
func expect(t *testing.T, doing string, err error, addr, line, cure string) {
	t.Helper()
	said, _, _ := strings.Cut(strings.TrimPrefix(line, "-"), " ")
	var refused *topology.RefusedError
	switch {
	case err == nil:
		t.Errorf("%s: no error for %q", doing, line)
	case errors.As(err, &refused) != (cure != ""):
		t.Errorf("%s: %v: refused: %v", doing, err, errors.As(err, &refused))
	case !strings.Contains(err.Error(), cure) || !strings.Contains(err.Error(), said) || !strings.Contains(err.Error(), addr):
		t.Errorf("%s: error %q does not say %q, %q and %q", doing, err, addr, said, cure)
	case strings.Contains(err.Error(), "hidden") && strings.Contains(doing, "hidden"):
		t.Errorf("%s: error %q shows the password", doing, err)
	}
}

func TestRedisHangsUp(t *testing.T) {
	from := topology.Source{Table: "hello"}
	line := "-DENIED Redis is running in protected mode because protected mode is enabled"
	addr := answering(t, line+"\r\n", true)
	_, err := newRedis(t, addr).Open(t.Context(), from, 0)
	expect(t, "protected mode", err, addr, line, "give it a password")

	addr = answering(t, "", true)
	_, err = newRedis(t, addr).Open(t.Context(), from, 0)
	expect(t, "no server", err, addr, "", "")
}

// A password of a letter is not looked for in words.
func TestRedisMasksShortPasswords(t *testing.T) {
	addr := answering(t, "-ERR something in a script: 's' is not a password, \"s\" neither", false)
	_, err := newRedis(t, "redis://:s@"+addr).Open(t.Context(), topology.Source{Table: "hello"}, 0)
	if err == nil || !strings.Contains(err.Error(), "something in a script: *** is not a password, *** neither") {
		t.Errorf("it says %v", err)
	}
}

// The port of a Sentinel is named as such.
func TestRedisIsASentinel(t *testing.T) {
	server := miniredis.RunT(t)
	server.Server().SetPreHook(func(c *miniserver.Peer, cmd string, _ ...string) bool {
		if cmd == "INFO" {
			c.WriteBulk("# Server\r\nredis_mode:sentinel\r\n")
		} else {
			c.WriteError("ERR unknown command '" + cmd + "', with args beginning with: 'x' ")
		}
		return true
	})
	_, err := newRedis(t, server.Addr()).Open(t.Context(), topology.Source{Table: "hello"}, 0)
	expect(t, "a Sentinel", err, server.Addr(), "-ERR unknown command", "port of a Sentinel")
}

// One side speaks TLS and the other does not.
func TestRedisSpeaksTLSOnOneSide(t *testing.T) {
	certificate, _ := selfSigned(t)
	wants := miniredis.NewMiniRedis()
	if err := wants.StartTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
		t.Fatal(err)
	}
	defer wants.Close()
	_, err := newRedis(t, wants.Addr()).Open(t.Context(), topology.Source{Table: "hello"}, 0)
	if err == nil || !strings.Contains(err.Error(), "rediss://") {
		t.Errorf("plain to TLS: %v", err)
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0") // as Redis is to what it takes for the begin of a line
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	sink := newRedis(t, "rediss://"+silent.Addr().String()+"?dial_timeout=100ms")
	if _, err := sink.Open(t.Context(), topology.Source{Table: "hello"}, 0); err == nil || !strings.Contains(err.Error(), "redis:// instead of rediss://") {
		t.Errorf("TLS to plain: %v", err)
	}
}

func TestRealRedisRefusals(t *testing.T) {
	url := realRedis(t)
	client := reader(t, url)
	options := client.Options()
	withUser := func(user string) string {
		return fmt.Sprintf("redis://%s:hidden@%s/%d", user, options.Addr, options.DB)
	}
	name := func(s string) string { return "sinks-test-" + s }
	for user, rules := range map[string][]string{
		"enough":  {"~hello:*", "~tidemark:*", "+eval", "+evalsha", "+hmget", "+hset", "+time", "+mset", "+unlink", "+scan", "+select"},
		"nothing": {"~*", "+select"},
		"no-mset": {"~*", "+@all", "-mset"},
		"no-keys": {"~tidemark:*", "+@all"},
	} {
		if err := client.ACLSetUser(t.Context(), name(user), append([]string{"reset", "on", ">hidden"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.ACLDelUser(t.Context(), name(user)) })
	}

	step := func(user string) error {
		sink := newRedis(t, withUser(name(user)))
		place, err := sink.Open(t.Context(), topology.Source{Table: "hello"}, 0)
		if err != nil {
			return err
		}
		err = sink.Apply(t.Context(), topology.Batch{
			Source: topology.Source{Table: "hello"}, Epoch: place.Epoch,
			From: place.Position, To: place.Position, Rows: []topology.Raw{row("a", "1"), {Key: []byte("b")}},
		})
		for range sink.Keys(t.Context(), topology.Source{Table: "hello"}) {
		}
		return err
	}
	if err := step("enough"); err != nil {
		t.Errorf("with what the errors ask for: %v", err)
	}
	expect(t, "a wrong user", step("nobody"), options.Addr, "-WRONGPASS", "password wrong?")
	expect(t, "no permission", step("nothing"), options.Addr, "-NOPERM", "+evalsha")
	expect(t, "no permission for mset", step("no-mset"), options.Addr, "", "+mset")
	expect(t, "no permission for the rows", step("no-keys"), options.Addr, "", "~<category>:*")

	sink := newRedis(t, url)
	batch := opened(t, sink, "wrong-type")
	if err := errors.Join(client.Del(t.Context(), "tidemark:fence:wrong-type:0").Err(),
		client.Set(t.Context(), "tidemark:fence:wrong-type:0", "x", time.Minute).Err()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader(t, url).Del(context.Background(), "tidemark:fence:wrong-type:0") })
	expect(t, "wrong type", sink.Apply(t.Context(), then(batch, "1")), options.Addr, "-WRONGTYPE", "delete it")
	_, err := sink.Open(t.Context(), batch.Source, 0)
	expect(t, "wrong type", err, options.Addr, "-WRONGTYPE", "delete it")
}

func TestRedisDoesNotWriteToStderr(t *testing.T) {
	var lines lineLogger
	redis.SetLogger(&lines)
	defer logging.Enable()
	sink := newRedis(t, "127.0.0.1:1")
	for range 200 {
		if _, err := sink.Open(t.Context(), topology.Source{Table: "hello"}, 0); err == nil {
			t.Fatal("no error without a server")
		}
	}
	if len(lines.said) > 0 {
		t.Errorf("the client logged %q", lines.said)
	}
}

type lineLogger struct {
	mu   sync.Mutex
	said []string
}

func (l *lineLogger) Printf(_ context.Context, format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, fmt.Sprintf(format, v...))
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
