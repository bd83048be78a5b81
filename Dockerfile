# syntax=docker/dockerfile:1
# What changes often comes last: one changed Python file builds the browser SDK, the Rust core and
# the dependencies from the cache.

FROM node:20-bookworm-slim AS web
WORKDIR /src
COPY sdk/web sdk/web
COPY sdk/react sdk/react
COPY web web
COPY scripts/web scripts/web
RUN scripts/web

# In the place of this stage a wheel that is there already can be taken: a folder with it, given as
# `--build-context wheel=FOLDER` (CI does so).
FROM rust:1-slim-bookworm AS core
RUN apt-get update \
  && apt-get install -y --no-install-recommends build-essential python3 python3-venv \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python3 -m venv /venv && /venv/bin/pip install --no-cache-dir 'maturin>=1.9,<2'
COPY pyproject.toml ./
COPY native native
# The core alone, with empty packages around it: it is compiled again only when it changes.
RUN mkdir config member sfu signaling \
  && touch README.md LICENSE config/__init__.py member/__init__.py sfu/__init__.py signaling/__init__.py \
  && /venv/bin/maturin build --release --locked --compatibility linux --out /core
COPY README.md LICENSE ./
COPY config config
COPY member member
COPY sfu sfu
COPY signaling signaling
COPY --from=web /src/signaling/web signaling/web
RUN /venv/bin/maturin build --release --locked --compatibility linux --out /wheels

FROM scratch AS wheel
COPY --from=core /wheels/ /

FROM python:3.11-slim-bookworm AS runtime
# A volume that is mounted on the data folder for the first time takes its owner from here.
RUN groupadd --gid 10001 sealroute \
  && useradd --uid 10001 --gid 10001 --no-create-home --no-log-init --shell /usr/sbin/nologin --home-dir /var/lib/sealroute sealroute \
  && install -d -m 0755 /var/lib/sealroute \
  && install -d -o 10001 -g 10001 -m 0700 /var/lib/sealroute/data
WORKDIR /opt/sealroute
COPY pyproject.toml constraints.txt ./
COPY scripts/dependencies.py scripts/dependencies.py
RUN python scripts/dependencies.py > requirements.txt \
  && pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt
# `sealroute doctor --call` is a call of the Python SDK.
COPY sdk/python sdk/python
RUN pip install --no-cache-dir --constraint constraints.txt ./sdk/python && rm -rf sdk
ENV PYTHONDONTWRITEBYTECODE=1 SEALROUTE_DATA_DIR=/var/lib/sealroute/data
EXPOSE 8080/tcp 10000/udp 10000/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["python", "-m", "signaling.cli.health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sealroute"]
CMD ["serve", "--json"]

# `--target egress`: custom layouts, buckets, captions with their model, and what renders pages.
# Four times as large, and with a browser in it: only for servers that use them.
FROM runtime AS egress
RUN apt-get update \
  && apt-get install -y --no-install-recommends \
    bubblewrap chromium fonts-noto-color-emoji fonts-noto-core libpango-1.0-0 libpangoft2-1.0-0 \
  && rm -rf /var/lib/apt/lists/*
RUN python scripts/dependencies.py egress > egress.txt \
  && pip install --no-cache-dir --constraint constraints.txt --requirement egress.txt
COPY --from=wheel / wheels/
RUN pip install --no-cache-dir --no-deps wheels/*.whl && rm -rf wheels
# A number, so that an orchestrator can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/sealroute
VOLUME /var/lib/sealroute/data

# The image without a target: calls, encrypted or not, and what records each stream by itself.
FROM runtime
COPY --from=wheel / wheels/
RUN pip install --no-cache-dir --no-deps wheels/*.whl && rm -rf wheels
USER 10001:10001
WORKDIR /var/lib/sealroute
VOLUME /var/lib/sealroute/data
