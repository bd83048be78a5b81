"""Composed jobs: the streams of a session as one image and one audio track.

Of all processes of a server, those that run this alone load codecs (PyAV) and numpy. They are
forked from a zygote of their own; recordings of single streams have nothing of it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start one for each core
