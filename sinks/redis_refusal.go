package sinks

import (
	"errors"
	"fmt"
	"strings"
)

// refusals are the errors that stay until somebody changes something, by a part
// of their text, and the cure. A script's errors begin with ERR on old servers.
var refusals = []struct{ text, cure string }{
	{"NOAUTH", "set a password, as in redis://user:password@host:6379"},
	{"WRONGPASS", "is the user's name or password wrong?"},
	{"invalid password", "is the password wrong?"},
	{"without any password configured", "the server has no password: leave it out"},
	{"no password is set", "the server has no password: leave it out"},
	{"NOPERM", "the user needs +eval +evalsha +script +hmget +hset +time +mset +unlink +scan +select, on the keys of the category and on ~tidemark:fence:*"},
	{"WRONGTYPE", "a key that begins with tidemark:fence: is not a hash: delete it, or use another database"},
	{"DENIED", "the server is in protected mode: set a password there, or protected-mode no"},
	{"unknown command", "the server must know EVAL, EVALSHA, HSET, MSET, UNLINK and SCAN: is a command renamed, or is it older than Redis 5?"},
	{"Unknown Redis command called from", "the server must know HSET, MSET and UNLINK: is a command renamed, or is it older than Redis 5?"},
	{"DB index", "the server has no database of this number: see its setting databases"},
	{"MOVED", "the server is a member of a Cluster, which is not supported yet"},
	{"CROSSSLOT", "the server is a member of a Cluster, which is not supported yet"},
	{"non local key", "the server is a member of a Cluster, which is not supported yet"},
	{"cluster mode", "the server is a member of a Cluster, which is not supported yet"},
	{"first record does not look like a TLS handshake", "the server does not speak TLS at this port: redis:// instead of rediss://?"},
	{"failed to verify certificate", "set Options.TLSConfig to trust it"},
	{"invalid reply", "what listens there is no Redis, or wants TLS: rediss://?"},
	{"can't parse", "what listens there is no Redis, or wants TLS: rediss://?"},
}

// explain says of an error where it happened, and if it is a refusal, the cure.
func (s *server) explain(doing string, err error) error {
	if s.password != "" && strings.Contains(err.Error(), s.password) {
		err = errors.New(strings.ReplaceAll(err.Error(), s.password, "***"))
	}
	for _, refusal := range refusals {
		if strings.Contains(err.Error(), refusal.text) {
			return refusedf("%s: %s: %w: %s", s.name, doing, err, refusal.cure)
		}
	}
	return fmt.Errorf("%s: %s: %w", s.name, doing, err)
}
