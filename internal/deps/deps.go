// Package deps keeps the module's requirements while their users are being written.
package deps

import (
	_ "github.com/IBM/sarama"
	_ "github.com/alicebob/miniredis/v2"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/lovoo/goka"
	_ "github.com/rcrowley/go-metrics"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/syndtr/goleveldb/leveldb"
	_ "github.com/twmb/franz-go/pkg/kfake"
)
