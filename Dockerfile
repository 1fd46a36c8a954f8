# One image for every service: `docker build -t weaklink .`, then `weaklink run STAGE` as its command.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/weaklink \
 && awk '/^[a-z]/{keep=/^uv==/} keep' requirements.lock > /tmp/uv.lock \
 && /opt/weaklink/bin/pip install --quiet --require-hashes -r /tmp/uv.lock \
 && VIRTUAL_ENV=/opt/weaklink /opt/weaklink/bin/uv pip install --require-hashes -r requirements.lock
COPY services services
COPY schemas schemas
RUN VIRTUAL_ENV=/opt/weaklink /opt/weaklink/bin/uv pip install --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --create-home --uid 10001 weaklink && install -d -o weaklink /var/lib/weaklink
COPY --from=build /opt/weaklink /opt/weaklink
ENV PATH=/opt/weaklink/bin:$PATH PYTHONUNBUFFERED=1 WEAKLINK_DATA_FOLDER=/var/lib/weaklink
# Compiled loops are for any processor of the architecture, so that those kept in the image serve every host.
ENV NUMBA_CPU_NAME=generic
USER weaklink
RUN python -m weaklink.compiled
ENTRYPOINT ["weaklink"]
CMD ["--help"]
