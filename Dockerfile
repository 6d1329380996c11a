# One image with the three services and the operator's program; which one runs is the command.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libssl-dev libzstd-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked -p command-service -p query-service -p projector -p rollcall

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libssl3 libzstd1 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/rollcall --create-home rollcall \
    && chmod 0700 /var/lib/rollcall \
    && install --directory --owner=rollcall --mode=0700 /var/lib/rollcall-keys
COPY --from=build \
    /src/target/dist/command-service \
    /src/target/dist/query-service \
    /src/target/dist/projector \
    /src/target/dist/rollcall \
    /usr/local/bin/
COPY LICENSE /usr/share/doc/rollcall/LICENSE
COPY query-service/vendor/scalar/LICENSE /usr/share/doc/rollcall/scalar.LICENSE
USER rollcall
ENV ROLLCALL_HOME=/var/lib/rollcall
VOLUME /var/lib/rollcall
CMD ["rollcall", "--help"]
