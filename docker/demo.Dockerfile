# The demo of a trained model, with a health check.
#
#   docker build -f docker/demo.Dockerfile -t dmg-demo .
#   docker run --rm -p 8510:8510 -v "$PWD/RUN_DIR:/model:ro" dmg-demo
#
# /model is a run folder, or a SavedModel that `dmg-tf export` wrote. Whoever
# reaches the port can use the page: it has no password and no encryption.
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE dmg_tf_command.py ./
COPY dmg_tf dmg_tf
RUN pip install --no-cache-dir . && useradd --create-home demo

USER demo
EXPOSE 8510
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8510/health', timeout=4)"]
ENTRYPOINT ["dmg-tf", "demo", "/model", "--host", "0.0.0.0"]
