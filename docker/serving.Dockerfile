# TensorFlow Serving with an exported model inside.
#
#   dmg-tf export RUN_DIR models/dmg/1
#   docker build -f docker/serving.Dockerfile -t dmg-serving models
#   docker run --rm -p 8500:8500 -p 8501:8501 dmg-serving
#
# 8500 is gRPC, 8501 REST; examples/serve/ has clients for both. The model's
# warm-up requests are answered before the port opens. Take a version of the
# server that is not older than the TensorFlow that exported.
ARG VERSION=latest
FROM tensorflow/serving:${VERSION}

ENV MODEL_NAME=dmg
COPY dmg /models/dmg
EXPOSE 8500 8501
