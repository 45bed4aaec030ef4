# The images of Penstock: `operator` (operator, router agent, command line), `serving` (model server, monitor, fetch,
# jobs) and `router` (Envoy, for clusters that cannot pull the stock image). Every process runs as user 65532, with a
# read-only root file system. Python packages are installed by hash from requirements/.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/penstock/bin:/usr/local/bin:/usr/bin:/bin

FROM python AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

FROM build AS operator-packages
COPY requirements/operator.lock /requirements/
RUN python3 -m venv --without-pip /opt/penstock \
 && pip --python /opt/penstock/bin/python install --no-compile --require-hashes --only-binary :all: -r /requirements/operator.lock \
 && find /opt/penstock/lib -depth -type d -path '*/site-packages/*' \( -name tests -o -name test \) -exec rm -rf {} + \
 && /opt/penstock/bin/python -m compileall -q -j 0 /opt/penstock

FROM build AS serving-packages
COPY requirements/serving.lock /requirements/
RUN python3 -m venv --without-pip /opt/penstock \
 && pip --python /opt/penstock/bin/python install --no-compile --require-hashes --only-binary :all: -r /requirements/serving.lock \
 && find /opt/penstock/lib -depth -type d -path '*/site-packages/*' \( -name tests -o -name test \) -exec rm -rf {} + \
 && /opt/penstock/bin/python -m compileall -q -j 0 /opt/penstock

# Our own sources change with every edit; what they stand on stays as it is, in layers of its own.
FROM build AS own
COPY requirements/build.lock /source/requirements/
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-compile --require-hashes --only-binary :all: -r /source/requirements/build.lock \
 && python3 -m venv --without-pip /opt/penstock
COPY pyproject.toml README.md LICENSE /source/
COPY operator /source/operator
COPY serving/penstock_serving /source/serving/penstock_serving
COPY serving/oip_conformance /source/serving/oip_conformance
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /source \
 && pip --python /opt/penstock/bin/python install --no-compile --no-deps --no-index --prefix /own /wheels/*.whl \
 && /opt/penstock/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /own -p /opt/penstock /own

# The model server's native lane, where make built one (serving/native/build.py). Without it Python answers, slower; so
# it does where the wheel is of a machine with a newer C library than this image has, or of another processor.
FROM build AS lane
COPY serving/native/wheels /wheels
RUN python3 -m venv --without-pip /opt/penstock \
 && mkdir /lane \
 && if test -z "$(find /wheels -name '*.whl')"; then \
      echo "no wheel in serving/native/wheels: the model server will answer without its native lane, slower"; \
    elif pip --python /opt/penstock/bin/python install --no-compile --no-deps --no-index --prefix /lane --find-links /wheels penstock-lane; then \
      /opt/penstock/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /lane -p /opt/penstock /lane; \
    else \
      echo "no wheel in serving/native/wheels is for this image: the model server will answer without its native lane, slower"; \
    fi

FROM build AS envoy
COPY requirements/router.lock /requirements/
RUN pip install --no-compile --require-hashes --only-binary :all: --target /envoy -r /requirements/router.lock

FROM python AS operator
COPY --from=operator-packages /opt/penstock /opt/penstock
COPY --from=own /own /opt/penstock
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m", "penstock.main"]

FROM python AS serving
COPY --from=serving-packages /opt/penstock /opt/penstock
COPY --from=lane /lane /opt/penstock
COPY --from=own /own /opt/penstock
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python", "-m", "penstock_serving.server"]

FROM ${BASE} AS router
COPY --from=envoy /envoy/envoy/_bin/envoy /usr/local/bin/envoy
COPY --from=envoy /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /
ENTRYPOINT ["envoy"]
