package redis

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const reserved = "tidemark"

var (
	keyEscaper  = strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `^`, `\^`)
)

// options merges Addr, Options and what the contract needs. Its errors never
// show what may be a password.
func (r *Sink) options() (*redis.Options, error) {
	o := &redis.Options{}
	if r.Options != nil {
		if r.Options.IsClusterMode || r.Options.MasterName != "" {
			return nil, errors.New("redis: Cluster and Sentinel are not supported yet")
		}
		o = r.Options.Simple()
	}
	if err := addressed(o, r.Addr, r.Options != nil); err != nil {
		return nil, err
	}

	// A repeated command that was stalled on its way could come after the next one.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.Protocol = 2 // no pushes, so nothing to look for before each reply
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.PipelinePoolSize = -1
	o.Network = cmp.Or(o.Network, "tcp")
	o.DialTimeout = cmp.Or(o.DialTimeout, 3*time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 3*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 3*time.Second)
	o.PoolSize = cmp.Or(o.PoolSize, 128)
	o.ReadBufferSize = cmp.Or(o.ReadBufferSize, 4<<10) // answers are short
	o.WriteBufferSize = cmp.Or(o.WriteBufferSize, 64<<10)
	return o, nil
}

// addressed writes what an address says over the options.
func addressed(o *redis.Options, addr string, tuned bool) error {
	if !strings.Contains(addr, "://") {
		return hostPort(o, addr)
	}
	from, err := redis.ParseURL(addr)
	switch {
	case err != nil && strings.Contains(addr, "@"):
		return errors.New(`redis: the address is no valid URL such as "redis://user:password@host:6379/0":` +
			" is a special character of the password not percent-encoded?")
	case err != nil:
		return fmt.Errorf("redis: address %q: %s", addr, strings.TrimPrefix(err.Error(), "redis: "))
	case !tuned:
		*o = *from
		return nil
	case strings.Contains(addr, "?"):
		return errors.New("redis: the address has a query beside Options: what it says belongs there")
	}
	o.Network, o.Addr = from.Network, from.Addr
	o.DB = cmp.Or(from.DB, o.DB)
	o.Username = cmp.Or(from.Username, o.Username)
	o.Password = cmp.Or(from.Password, o.Password)
	if from.TLSConfig != nil && o.TLSConfig != nil {
		config := o.TLSConfig.Clone()
		config.ServerName = cmp.Or(config.ServerName, from.TLSConfig.ServerName)
		o.TLSConfig = config
	} else if from.TLSConfig != nil {
		o.TLSConfig = from.TLSConfig
	}
	return nil
}

func hostPort(o *redis.Options, addr string) error {
	switch {
	case addr == "":
		return errors.New("redis: no address: set Addr to one such as localhost:6379")
	case strings.Contains(addr, "@"):
		return errors.New("redis: the address has an @ and is no URL: a user or a password needs redis://user:password@host:6379")
	case strings.Contains(addr, ","):
		return fmt.Errorf("redis: address %q: it takes one server, Cluster and Sentinel are not supported yet", addr)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("redis: address %q is neither host:port nor a URL: did you mean %q?", addr, net.JoinHostPort(strings.Trim(addr, "[]"), "6379"))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("redis: address %q: port %q is no number between 1 and 65535", addr, port)
	}
	o.Addr = addr
	return nil
}

func serverName(o *redis.Options) string {
	if o.DB == 0 {
		return "redis " + o.Addr
	}
	return "redis " + o.Addr + "/" + strconv.Itoa(o.DB)
}
