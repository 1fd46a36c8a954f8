# One image for every service: `docker build -t weaklink .`, then `weaklink run STAGE` as its command.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml ./
# What services need, and no more: neither tools of development nor those of the documentation. Versions and hashes are the lock's.
# Bytecode is made here: who runs the image may not write it, and would compile all libraries at every start.
RUN python -m venv /opt/build && python -m venv --without-pip /opt/packages \
 && awk '/^[a-z]/{keep=/^(uv|hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' requirements.lock > /tmp/build.lock \
 && /opt/build/bin/pip install --quiet --require-hashes -r /tmp/build.lock \
 && /opt/build/bin/uv pip install --compile-bytecode --python /opt/packages --require-hashes -c requirements.lock -r pyproject.toml \
      --extra services --extra console --extra otel --extra evaluation --extra formats
COPY README.md ./
COPY services services
COPY schemas schemas
RUN /opt/build/bin/uv build --quiet --wheel --no-build-isolation --python /opt/build/bin/python --out-dir /tmp/wheel \
 && /opt/build/bin/uv pip install --compile-bytecode --python /opt/packages --no-deps --target /opt/weaklink /tmp/wheel/*.whl

FROM python:3.12-slim
RUN useradd --system --create-home --uid 10001 weaklink && install -d -o weaklink /var/lib/weaklink
# Two layers: packages, which are large and seldom change, and Weaklink itself, which is small and often does.
COPY --from=build /opt/packages /opt/packages
COPY --from=build /opt/weaklink /opt/weaklink
ENV PATH=/opt/weaklink/bin:/opt/packages/bin:$PATH PYTHONPATH=/opt/weaklink PYTHONUNBUFFERED=1 WEAKLINK_DATA_FOLDER=/var/lib/weaklink
# Compiled loops are for any processor of the architecture, so that those kept in the image serve every host.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/home/weaklink/.cache/numba
USER 10001
RUN python -m weaklink.compiled
ENTRYPOINT ["weaklink"]
CMD ["--help"]
