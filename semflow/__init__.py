"""SemFlow (rectified flow between images and semantic masks): the method and its replication harness."""

__version__ = "0.1.0"
