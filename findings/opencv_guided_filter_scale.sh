#!/bin/bash
# opencv-contrib-python-headless 5.0.0.93, ximgproc.guidedFilter: `scale` shrinks the maps but not `radius`, which counts
# pixels of the shrunk maps. What radius 4 does at scale 1, radius 4 at scale 1/4 does over four times the distance.
# Seen (a step of the input, a flat guide; how far from the step the output changes): 8 pixels at radius 4, scale 1;
# 34 pixels at radius 4, scale 1/4; 10 pixels at radius 1, scale 1/4.
# Exits non-zero if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check opencv-contrib-python-headless==5.0.0.93 numpy==2.4.6
"$folder/bin/python" - <<'PYTHON'
import cv2
import numpy

source = numpy.zeros((256, 256), numpy.float32)
source[:, 128:] = 1
flat = numpy.zeros_like(source)


def reach(radius, scale):
    """Columns left of the step that are no longer 0."""
    row = cv2.ximgproc.guidedFilter(flat, source, radius, 1e-2, scale=scale)[128]
    return int((row[:128] > 1e-6).sum())


seen = {call: reach(*call) for call in ((4, 1), (4, 0.25), (1, 0.25))}
for (radius, scale), pixels in seen.items():
    print(f"radius {radius}, scale {scale}: {pixels} pixels")
assert seen == {(4, 1): 8, (4, 0.25): 34, (1, 0.25): 10}, "the radius at a scale has another reach now"
PYTHON
