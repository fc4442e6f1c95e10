# What the clients of tests/containers/run do, and what has to become of it. Each step ends the script
# when it is not so. Names are new each time, so their owners are any of the nodes.

# Repeats a question until the answer is yes: seconds, what it is about, command.
within() {
  local end=$((SECONDS + $1))
  until "${@:3}"; do
    ((SECONDS < end)) || die "not within $1 s: $2"
    sleep 0.1
  done
}

# The engine is asked itself: compose takes a second to answer.
container() {
  docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
    --filter "label=com.docker.compose.service=$1"
}
start() { docker start "$(container "$1")" >/dev/null; }
# Containers can be reached from this machine under their own addresses, also when nothing is published.
address() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(container "$1")"; }
at() { printf 'http://%s:8080' "$(address "$1")"; }

fleet() { curl -fsS --max-time 2 "http://$(address node-a):9090/cluster"; }
members_are_up() { fleet 2>/dev/null | jq --exit-status "[.members[] | select(.health == \"up\")] | length == $1" >/dev/null; }

# Three requests in a row are answered by three nodes, which differ in when they were started.
all_are_reached() {
  local starts
  starts=$(for _ in 1 2 3; do
    curl -fsS --max-time 2 "$lb/api/v1/pipe/metrics" 2>/dev/null | grep '^hoody_pipe_start_time_seconds'
  done | sort --unique | wc --lines)
  ((starts == 3))
}

name() { printf 't-%s-%s' "$RANDOM$RANDOM" "$RANDOM$RANDOM"; }

# The same bytes arrived that were sent.
same() { cmp "$1" "$2" || die "$2 is not what was sent"; }

# Waits for background jobs that all have to succeed.
all_succeed() {
  local job
  for job; do wait "$job" || die "a client failed with exit code $?"; done
}

# Lines, five a second, for so many seconds.
lines() { for ((i = 0; i < $1 * 5; i++)); do echo "token $i of a model"; sleep 0.2; done; }

# Use 1: three readers of a token stream.
tokens() {
  local dir url i jobs=()
  dir=$(mktemp --directory "$work/run/tokens.XXXX") url="$lb/$(name)?n=3"
  for i in 1 2 3; do curl -fsSN --max-time 60 "$url" >"$dir/got$i" & jobs+=($!); done
  lines 1 | tee "$dir/sent" | curl -sS --no-progress-meter --fail-with-body --max-time 60 -T . "$url" >"$dir/said" & jobs+=($!)
  all_succeed "${jobs[@]}"
  for i in 1 2 3; do same "$dir/sent" "$dir/got$i"; done
  complete "$dir/said"
}

complete() { [[ $(tail --lines=1 "$1") == '[INFO] Transfer complete.' ]] || die "the sender was told: $(tail --lines=1 "$1")"; }

# Use 2: a voice, as Opus in Ogg, as fast as it is spoken.
voice() {
  local dir url receiver
  dir=$(mktemp --directory "$work/run/voice.XXXX") url=$lb/$(name)
  curl -fsSN --max-time 60 "$url" >"$dir/got" &
  receiver=$!
  ffmpeg -nostdin -loglevel error -re -f lavfi -i sine=frequency=440:duration=2 -c:a libopus -b:a 32k -f ogg \
    -page_duration 20000 -flush_packets 1 - | tee "$dir/sent" \
    | curl -sS --fail-with-body --max-time 60 -T - -H 'Content-Type: audio/ogg' "$url" >"$dir/said"
  all_succeed "$receiver"
  same "$dir/sent" "$dir/got"
  complete "$dir/said"
}

# Use 3: one image to thirty runners.
image() {
  local dir url i jobs=()
  dir=$(mktemp --directory "$work/run/image.XXXX") url="$lb/$(name)?n=30"
  head -c 20000000 /dev/urandom >"$dir/sent"
  for i in {1..30}; do curl -fsS --max-time 120 "$url" >"$dir/got$i" & jobs+=($!); done
  curl -sS --fail-with-body --max-time 120 -T "$dir/sent" "$url" >"$dir/said"
  all_succeed "${jobs[@]}"
  for i in {1..30}; do same "$dir/sent" "$dir/got$i"; done
  complete "$dir/said"
}

# Twelve streams from node-a to node-b, and as many receivers that wait at them. Whoever owns the names:
# of 24 it is node-c for some.
bystander_killed() {
  local dir i url a b jobs=() senders=()
  dir=$(mktemp --directory "$work/run/bystander.XXXX") a=$(at node-a) b=$(at node-b)
  for i in {1..12}; do
    url=$(name)
    curl -fsSN --max-time 60 "$b/$url" >"$dir/got$i" & jobs+=($!)
    lines 5 | tee "$dir/sent$i" | curl -sS --no-progress-meter --fail-with-body --max-time 60 -T . "$a/$url" >"$dir/said$i" & jobs+=($!)
  done
  head -c 100000 /dev/urandom >"$dir/sent"
  for i in {13..24}; do
    name >"$dir/name$i"
    curl -fsS --max-time 60 "$(if ((i % 2)); then echo "$a"; else echo "$b"; fi)/$(<"$dir/name$i")" >"$dir/got$i" & jobs+=($!)
  done
  for i in {1..12}; do within 10 'it streams' test -s "$dir/got$i"; done
  docker kill "$(container node-c)" >/dev/null
  # At once, so that some of them arrive before the fleet knows.
  for i in {13..24}; do
    curl -sS --fail-with-body --max-time 60 -T "$dir/sent" "$(if ((i % 2)); then echo "$b"; else echo "$a"; fi)/$(<"$dir/name$i")" >"$dir/said$i" & senders+=($!)
  done
  all_succeed "${senders[@]}" "${jobs[@]}"
  for i in {1..12}; do same "$dir/sent$i" "$dir/got$i"; complete "$dir/said$i"; done
  for i in {13..24}; do same "$dir/sent" "$dir/got$i"; complete "$dir/said$i"; done
}

# A sender at node-a, a receiver at node-b and one at node-c, which is killed.
receiving_edge_killed() {
  local dir url a b c lost kept sender code=0
  dir=$(mktemp --directory "$work/run/receiving.XXXX") url="$(name)?n=2"
  a=$(at node-a) b=$(at node-b) c=$(at node-c)
  curl -fsSN --max-time 60 "$c/$url" >"$dir/lost" 2>/dev/null &
  lost=$!
  curl -fsSN --max-time 60 "$b/$url" >"$dir/kept" &
  kept=$!
  lines 5 | tee "$dir/sent" | curl -sSN --no-progress-meter --fail-with-body --max-time 60 -T . "$a/$url" >"$dir/said" &
  sender=$!
  within 10 'it streams' test -s "$dir/lost"
  docker kill "$(container node-c)" >/dev/null
  wait "$lost" || code=$?
  [[ $code =~ ^(18|52|56)$ ]] || die "the receiver at the killed node got exit code $code"
  within 5 'the sender is told' grep --quiet 'A receiver disconnected.' "$dir/said"
  all_succeed "$kept" "$sender"
  same "$dir/sent" "$dir/kept"
  complete "$dir/said"
}

# A sender at node-c, which is killed, and a receiver at node-a: no end that looks whole.
sending_edge_killed() {
  local dir url a c receiver code=0
  dir=$(mktemp --directory "$work/run/sending.XXXX") url=$(name) a=$(at node-a) c=$(at node-c)
  curl -fsSN --max-time 60 "$a/$url" >"$dir/got" 2>/dev/null &
  receiver=$!
  lines 60 | curl -sSN --no-progress-meter --fail-with-body --max-time 60 -T . "$c/$url" >/dev/null 2>&1 &
  within 10 'it streams' test -s "$dir/got"
  docker kill "$(container node-c)" >/dev/null
  within 5 'the receiver is cut' gone "$receiver"
  wait "$receiver" || code=$?
  [[ $code =~ ^(18|56)$ ]] || die "the receiver of a killed sender got exit code $code"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# One node after the other is stopped as an orchestrator does it, while pairs come and go through the
# load balancer. None of them may fail, and none is tried twice.
drained() {
  local stopping node pairs=0
  for node in node-a node-b; do
    { docker stop --time 40 "$(container "$node")" && start "$node"; } >/dev/null &
    stopping=$!
    until gone "$stopping"; do pair; pairs=$((pairs + 1)); done
    wait "$stopping" || die "$node could not be stopped and started"
    within 30 'it is back' members_are_up 3
    within 10 'the load balancer knows it' all_are_reached
  done
  say "  $pairs pairs met meanwhile"
}

pair() {
  local url=$lb/$(name) receiver got
  got=$(mktemp "$work/run/pair.XXXX")
  curl -fsS --max-time 30 "$url" >"$got" &
  receiver=$!
  echo 'a pair' | curl -sS --fail-with-body --max-time 30 -T - "$url" >/dev/null || die 'a sender failed in a drain'
  wait "$receiver" || die 'a receiver failed in a drain'
  [[ $(<"$got") == 'a pair' ]] || die 'a pair got something else'
  rm "$got"
}
