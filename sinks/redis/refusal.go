package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tidemark-dev/tidemark/topology"
)

const (
	wantsPassword   = "set a password, as in redis://user:password@host:6379"
	wrongPassword   = "is the name of the user or the password wrong?"
	needlessOne     = "the server has no password: leave it out"
	wantsPermission = "the user needs +eval +evalsha +hmget +hset +time +mset +unlink +scan, +select for a database" +
		" other than 0, +hdel +hscan for a Key of its own, and the keys ~<category>:* and ~tidemark:*"
	wantsCommands = "the server must know EVAL, EVALSHA, HMGET, HSET, TIME, MSET, UNLINK and SCAN:" +
		" is one of them renamed, or the server older than Redis 5?"
	isCluster = "the server is a member of a Cluster, which is not supported yet"
	isNoRedis = "what listens there is no Redis, or it wants TLS: rediss:// instead of redis://?"
	setTLS    = "this machine does not trust the certificate: name the file of the authority that has signed it in SSL_CERT_FILE" +
		" (in Go: Options.TLSConfig), and the server as the certificate does"
	setClientTLS = "the server wants a certificate of its clients: set Options.TLSConfig"
	hasNoTLS     = "redis:// instead of rediss://?"
	fenceTaken   = "a key that begins with tidemark: is not a hash: delete it, or use another database"
	isSentinel   = "this is the port of a Sentinel, which is not supported yet: give the address of the server itself, which it tells" +
		" by SENTINEL GET-MASTER-ADDR-BY-NAME"
	evictsRows = "it would drop rows when its memory is full, and they would be missing until they change again: set it to noeviction" +
		" (redis-cli config set maxmemory-policy noeviction), or to a volatile policy, which spares keys without a TTL; if evicted_keys" +
		" of redis-cli info stats is not 0, delete the keys tidemark:fence:* too, and all rows are written again"
	unguarded  = "the server is in protected mode: give it a password"
	noDatabase = "the server has fewer databases: see its setting databases"
)

// refusals are the errors that stay until somebody changes something, by a part
// of their text, with the cure. All others are passing ones, as OOM, LOADING,
// READONLY, MASTERDOWN, BUSY and MISCONF are. Only the text tells: what goes
// wrong in a script begins with ERR on some servers.
var refusals = []struct{ text, cure string }{
	{"NOAUTH", wantsPassword},
	{"unauthenticated", wantsPassword},
	{"WRONGPASS", wrongPassword},
	{"invalid password", wrongPassword},
	{"without any password configured", needlessOne},
	{"no password is set", needlessOne},
	{"maxmemory-policy", evictsRows},
	{"NOPERM", wantsPermission},
	{"ACL failure in script", wantsPermission},
	{"The user executing the script can't", wantsPermission},
	{"WRONGTYPE", fenceTaken},
	{"DENIED", unguarded},
	{"redis_mode:sentinel", isSentinel},
	{"unknown command", wantsCommands},
	{"Unknown Redis command", wantsCommands},
	{"DB index", noDatabase},
	{"MOVED", isCluster},
	{"CROSSSLOT", isCluster},
	{"non local key", isCluster},
	{"in cluster mode", isCluster},
	{"redis: can't parse", isNoRedis},
	{"redis: invalid reply", isNoRedis},
	{"does not look like a TLS handshake", hasNoTLS},
	{"x509: ", setTLS},
	{"tls: certificate required", setClientTLS},
}

// explain says where an error happened, and if it is a refusal, the cure. What
// a server says is not trusted to leave out the password.
func (s *server) explain(doing string, err error) error {
	if answered(err) {
		return fmt.Errorf("%s: %s: %w", s.name, doing, err)
	}
	cure := ""
	for _, refusal := range refusals {
		if strings.Contains(err.Error(), refusal.text) {
			cure = refusal.cure
			break
		}
	}
	if said := redis.Error(nil); errors.As(err, &said) {
		text, _, _ := strings.Cut(err.Error(), ", with args beginning with:")
		err = errors.New(strings.TrimRight(s.masked(text), "."))
	}
	switch {
	case cure != "":
		return refusedf("%s: %s: %w: %s", s.name, doing, err, cure)
	case hungUp(err):
		return fmt.Errorf("%s: %s: %w: the server hung up: did it stop, or %s?", s.name, doing, err, s.otherwise())
	case s.tls && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %s: %w: %s?", s.name, doing, err, s.otherwise())
	default:
		return fmt.Errorf("%s: %s: %w", s.name, doing, err)
	}
}

// answered reports whether an error is what the contract of a sink knows, whatever
// its text says.
func answered(err error) bool {
	var row *topology.RowError
	return errors.As(err, &row) || slices.ContainsFunc([]error{
		topology.ErrForeign, topology.ErrFenced, topology.ErrDuplicate, topology.ErrGap, topology.ErrTooLarge,
	}, func(known error) bool { return errors.Is(err, known) })
}

// masked returns a text without the password. One of a few letters is part of other
// words, and is looked for in quotes only.
func (s *server) masked(text string) string {
	switch {
	case s.password == "":
		return text
	case len(s.password) > 3:
		return strings.ReplaceAll(text, s.password, "***")
	}
	for _, quote := range []string{"'", `"`, "`"} {
		text = strings.ReplaceAll(text, quote+s.password+quote, "***")
	}
	return text
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// otherwise says why a server that is well hangs up.
func (s *server) otherwise() string {
	if s.tls {
		return "does it speak no TLS at this port (redis:// instead of rediss://)"
	}
	return "does it want TLS (rediss://)"
}

// greeting looks for a better error than the client's: that with which a server
// hangs up on everybody, as one in protected mode does, or that of a Sentinel.
func (s *server) greeting(ctx context.Context, err error) error {
	if strings.Contains(err.Error(), "unknown command") {
		if info, _ := s.client.Info(ctx, "server").Result(); strings.Contains(info, "redis_mode:sentinel") {
			return fmt.Errorf("%w (redis_mode:sentinel)", err)
		}
	}
	if !hungUp(err) {
		return err
	}
	conn, dialErr := s.dial(ctx)
	if dialErr != nil {
		return err
	}
	defer conn.Close()
	if conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return err
	}
	line, _ := bufio.NewReader(io.LimitReader(conn, 1<<10)).ReadString('\n')
	if said, ok := strings.CutPrefix(line, "-"); ok {
		return errors.New(strings.TrimSpace(said))
	}
	return err
}

func refusedf(format string, args ...any) error {
	return &topology.RefusedError{Err: fmt.Errorf(format, args...)}
}
