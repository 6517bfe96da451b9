"""A real llama.cpp server, as a program: llama_server.py MODEL PROJECTOR PORT."""

from __future__ import annotations

import sys
import threading


def main() -> None:
    import xllamacpp

    model, projector, port = sys.argv[1:4]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.mmproj.path = projector
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 1024
    params.n_parallel = 2
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.fit_params = False
    params.warmup = False
    params.verbosity = 4  # prints how many experts are used
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
