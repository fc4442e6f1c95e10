# The images of tests/containers/run, and where they come from.

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi; }

# Runs a command, and shows what it said only if it fails.
quietly() { "$@" >"$work/run/said" 2>&1 || { tail -n 40 "$work/run/said" >&2; die "$*"; }; }

# The root file system of a Debian, as an archive: release, file, more arguments for debootstrap.
debian() {
  local release=$1 archive=$2 root
  [[ -e $archive ]] && return
  command -v debootstrap >/dev/null || die "no registry and no debootstrap: install one of them"
  root=$(mktemp --directory "$work/root.XXXXXX")
  quietly as_root debootstrap --variant=minbase "${@:3}" "$release" "$root"
  as_root tar --directory="$root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists \
    --create --file="$archive.part" .
  as_root rm -rf "$root"
  mv "$archive.part" "$archive"
}

# Sees to it that there is an image of that name: name, function that makes it.
base() {
  docker image inspect "$1" >/dev/null 2>&1 && return
  timeout 300 docker pull --quiet "$1" >/dev/null 2>&1 && return
  "$2" "$1"
  made+=("$1")
}

make_debian() {
  debian bookworm "$work/bookworm.tar"
  docker import --change 'CMD ["bash"]' "$work/bookworm.tar" "$1" >/dev/null
}

make_haproxy() {
  debian trixie "$work/haproxy.tar" --include=haproxy
  # What the real one says of itself: its user, and where its configuration is.
  docker import --change 'USER haproxy' \
    --change 'CMD ["/usr/sbin/haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]' \
    "$work/haproxy.tar" "$1" >/dev/null
}

make_rust() {
  local toolchain
  debian bookworm "$work/rust.tar" --include=gcc,libc6-dev,ca-certificates
  toolchain=$(rustc --print sysroot)
  docker import "$work/rust.tar" "$1-base" >/dev/null
  made+=("$1-base")
  # Whom this machine trusts, or there are no crates behind a proxy of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$work/run/"
  printf '%s\n' "FROM $1-base" 'COPY bin /usr/local/rust/bin' 'COPY lib /usr/local/rust/lib' \
    'COPY ca-certificates.crt /etc/ssl/certs/' \
    'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    >"$work/run/Dockerfile"
  tar --create --directory="$work/run" Dockerfile ca-certificates.crt --directory="$toolchain" bin lib \
    | quietly docker build --tag "$1" -
}

images() {
  base debian:bookworm-slim make_debian
  base haproxy:3.0 make_haproxy
  if [[ -n ${HOODY_PIPE_FULL:-} ]]; then
    base rust:1-bookworm make_rust
    quietly docker build --tag "hoody-pipe:$PIPE_TAG" .
    return
  fi
  quietly docker build --target runtime --tag "hoody-pipe:runtime-$PIPE_TAG" .
  mkdir "$work/run/image"
  cp "${HOODY_PIPE_BIN:-target/debug/hoody-pipe}" "$work/run/image/hoody-pipe"
  strip --strip-debug "$work/run/image/hoody-pipe"
  printf '%s\n' "FROM hoody-pipe:runtime-$PIPE_TAG" 'COPY hoody-pipe /usr/local/bin/' \
    >"$work/run/image/Dockerfile"
  quietly docker build --tag "hoody-pipe:$PIPE_TAG" "$work/run/image"
  docker run --rm "hoody-pipe:$PIPE_TAG" --version >/dev/null \
    || die 'the relay of this machine does not run on Debian 12; try HOODY_PIPE_FULL=1'
}
