# hoody-pipe as a container: one program, its own user, no shell and no tool that it needs.
#
#   docker build -t hoody-pipe .
#   docker run --rm -p 8080:8080 hoody-pipe
#
# Three of them behind one port: docker-compose.yml.

# Everything but the program.
FROM debian:bookworm-slim AS runtime
RUN groupadd --gid 65532 hoody-pipe \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir / --shell /usr/sbin/nologin hoody-pipe \
 && install --directory --owner=65532 --group=65532 --mode=700 /var/lib/hoody-pipe
USER 65532:65532
# Here a node of a fleet keeps the membership, in ./hoody-pipe-data. A node on its own writes nothing.
WORKDIR /var/lib/hoody-pipe
EXPOSE 8080
# Asks the admin listener of this container, which is published nowhere.
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=2 CMD ["hoody-pipe", "health"]
ENTRYPOINT ["hoody-pipe"]

FROM rust:1-bookworm AS builder
WORKDIR /src
# The libraries first: they change less often than the sources, and are the larger part.
COPY Cargo.toml Cargo.lock ./
COPY cluster/Cargo.toml cluster/
# Not built here; cargo wants to know each member of the workspace.
COPY benches benches
RUN mkdir -p src cluster/src \
 && touch src/lib.rs cluster/src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked
COPY src src
COPY cluster/src cluster/src
# Newer than the stand-ins above, or cargo would take those for built.
RUN touch src/lib.rs src/main.rs cluster/src/lib.rs \
 && cargo build --release --locked
# Half of it is for debuggers.
RUN strip --strip-debug target/release/hoody-pipe

FROM runtime
COPY --from=builder /src/target/release/hoody-pipe /usr/local/bin/
