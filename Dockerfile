# Built in two stages; the image holds the binary, ssh (for fences and files) and certificates, and runs as nobody
# in particular: a user that owns its data directory and has a name, since ssh refuses to work for a number alone.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p pointsman

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends openssh-client ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 65532 pointsman \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/pointsman --shell /usr/sbin/nologin pointsman \
 && install -d -m 0700 -o pointsman -g pointsman /var/lib/pointsman \
 && install -d /etc/pointsman/playbooks
COPY --from=build /src/target/release/pointsman /usr/local/bin/pointsman
# To read and to copy from: they name servers that only your configuration knows.
COPY playbooks /usr/share/doc/pointsman/playbooks
USER 65532:65532
WORKDIR /var/lib/pointsman
# The journal must outlive the container; playbooks are mounted at /etc/pointsman/playbooks.
VOLUME /var/lib/pointsman
EXPOSE 8420
# A listener on all addresses is wanted inside a container; publish it only where Alertmanager and people are.
ENTRYPOINT ["pointsman"]
CMD ["serve", "--data", "/var/lib/pointsman", "--playbooks", "/etc/pointsman/playbooks", "--listen", "0.0.0.0:8420"]
