package sinks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
		" other than 0, and the keys ~<category>:* and ~tidemark:fence:*"
	wantsCommands = "the server must know EVAL, EVALSHA, HMGET, HSET, TIME, MSET, UNLINK and SCAN:" +
		" is one of them renamed, or the server older than Redis 5?"
	isCluster  = "the server is a member of a Cluster, which is not supported yet"
	isNoRedis  = "what listens there is no Redis, or it wants TLS: rediss:// instead of redis://?"
	setTLS     = "set Options.TLSConfig"
	hasNoTLS   = "redis:// instead of rediss://?"
	fenceTaken = "a key that begins with tidemark:fence: is not a hash: delete it, or use another database"
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
	{"NOPERM", wantsPermission},
	{"The user executing the script can't", wantsPermission},
	{"WRONGTYPE", fenceTaken},
	{"DENIED", unguarded},
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
	{"tls: certificate required", setTLS},
}

// explain says where an error happened, and if it is a refusal, the cure. What
// a server says is not trusted to leave out the password.
func (s *server) explain(doing string, err error) error {
	cure := ""
	for _, refusal := range refusals {
		if strings.Contains(err.Error(), refusal.text) {
			cure = refusal.cure
			break
		}
	}
	if said := redis.Error(nil); errors.As(err, &said) {
		text, _, _ := strings.Cut(err.Error(), ", with args beginning with:")
		if s.password != "" {
			text = strings.ReplaceAll(text, s.password, "***")
		}
		err = errors.New(strings.TrimRight(text, "."))
	}
	switch {
	case cure != "":
		return refusedf("%s: %s: %w: %s", s.name, doing, err, cure)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %s: %w: the server hung up: did it stop, or does it want TLS (rediss://)?", s.name, doing, err)
	default:
		return fmt.Errorf("%s: %s: %w", s.name, doing, err)
	}
}

// greeting returns the error with which a server hangs up on everybody, as one
// in protected mode does, instead of what the client made of it.
func (s *server) greeting(ctx context.Context, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
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
