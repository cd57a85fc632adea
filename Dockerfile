# The command line for CPUs, without torch: `docker build -t seatrial .`, then
# `docker run --rm -v "$PWD:/work" seatrial run net.onnx --images photos --output trial` (docs/ci.md).
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
# Such as cpu,torch,openvino,report; each is in README.md, what they weigh in benchmarks/results/install_sizes.txt.
ARG EXTRAS=cpu,openvino,report
RUN python -m venv /opt/seatrial
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/seatrial/bin/python -m pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
# The same everywhere, so that a user that is given by `docker run --user` finds a home too.
ENV HOME=/tmp PATH=/opt/seatrial/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=build /opt/seatrial /opt/seatrial
RUN useradd --system --no-create-home seatrial && install --directory --owner seatrial /work
USER seatrial
WORKDIR /work
# It runs a command to its end; nothing listens that could be asked whether it is well.
HEALTHCHECK NONE
ENTRYPOINT ["seatrial"]
CMD ["--help"]
