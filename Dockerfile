# syntax=docker/dockerfile:1

FROM node:20-bookworm-slim AS web
WORKDIR /src
COPY sdk/web sdk/web
COPY web web
COPY scripts/web scripts/web
RUN scripts/web

FROM rust:1-slim-bookworm AS wheel
RUN apt-get update \
  && apt-get install -y --no-install-recommends build-essential python3 python3-venv \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir 'maturin>=1.9,<2'
COPY pyproject.toml README.md LICENSE ./
COPY native native
COPY config config
COPY sfu sfu
COPY signaling signaling
COPY --from=web /src/signaling/web signaling/web
RUN /venv/bin/maturin build --release --locked --compatibility linux --out /wheels

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/sealroute sealroute
COPY constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
  pip install --no-cache-dir --constraint /tmp/constraints.txt /wheels/*.whl
USER sealroute
WORKDIR /var/lib/sealroute
ENV SEALROUTE_DATA_DIR=/var/lib/sealroute/data
VOLUME /var/lib/sealroute/data
EXPOSE 8080/tcp 10000/udp 10000/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sealroute"]
CMD ["serve"]
