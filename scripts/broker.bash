# What `kafka` and `kafka-cluster` share: where Kafka's classes are, and one broker
# in a folder of its own. They source it; it does nothing by itself.

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=${SERVERS_DIR:-$(dirname "$scripts")/.servers}
version=${KAFKA_VERSION:-3.9.1}
libs=${KAFKA_HOME:+$KAFKA_HOME/libs}
libs=${libs:-$servers/kafka-libs-$version}

fetch() { # the jars, once, unless KAFKA_HOME has them
  [ -n "${KAFKA_HOME:-}" ] || [ -e "$libs/.complete" ] && return
  command -v mvn >/dev/null || { echo "mvn is not found: install Maven, or set KAFKA_HOME to an unpacked Kafka $version" >&2; exit 1; }
  echo "fetching Kafka $version with Maven, once" >&2
  mvn -q -B -f "$scripts/pom.xml" -Dkafka.version="$version" dependency:copy-dependencies -DoutputDirectory="$libs" >&2
  touch "$libs/.complete"
}

run_class() { # HEAP CLASS ARGS…
  local heap=$1
  shift
  java -Xmx"$heap" -Dlog4j.configuration="file:$scripts/log4j.properties" -cp "$libs/*" "$@"
}

running() { [ -e "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; } # DIR

launch() { # DIR HEAP; the settings are in DIR/server.properties
  [ -e "$1/data/meta.properties" ] ||
    run_class 128m kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$1/server.properties" >"$1/format.log" 2>&1 ||
    { tail -20 "$1/format.log" >&2; exit 1; }
  nohup java -Xms"$2" -Xmx"$2" -XX:+UseG1GC -Dlog4j.configuration="file:$scripts/log4j.properties" -cp "$libs/*" \
    kafka.Kafka "$1/server.properties" >"$1/log" 2>&1 </dev/null &
  echo $! >"$1/pid"
}

await() { # DIR: until the broker has started
  for _ in $(seq 240); do
    running "$1" || break
    grep -qs "Kafka Server started" "$1/log" && return
    sleep 0.25
  done
  tail -20 "$1/log" >&2
  exit 1
}

signal() { if running "$2"; then kill "-$1" "$(cat "$2/pid")"; fi; } # SIGNAL DIR

gone() { # DIR: until the process has ended
  for _ in $(seq 240); do running "$1" || { rm -f "$1/pid"; return 0; }; sleep 0.25; done
  return 1
}

end() { # DIR: asks first, and kills what does not end
  signal CONT "$1"
  signal TERM "$1"
  gone "$1" || { signal KILL "$1"; gone "$1"; }
}

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }
