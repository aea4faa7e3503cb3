#!/bin/sh
# The image's entry point: registers a sphere with one of the models.
exec python /opt/DeepPrep/deepprep/SUGAR/predict.py "$@"
