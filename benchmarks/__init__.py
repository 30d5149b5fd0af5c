"""How fast a load is, beside what people would use instead: the same files, in one run.

`python -m benchmarks --help` says what can be measured; `make bench` measures all of it.
"""
