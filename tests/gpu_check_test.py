#!/usr/bin/env python3
"""scripts/gpu-check where there is no GPU: on the emulator, and the way of a real one with a driver, programs and tools that only pretend.

    gpu_check_test.py SOURCE_DIR BUILD_DIR

Builds without CUDA have no kernels to look at: [skipped].
"""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
SCRIPT = SOURCE / "scripts/gpu-check"
DRIVER = """
#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int* v) { *v = 13000; return 0; }
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* d, int n) { *d = n; return 0; }
int cuDeviceGetName(char* s, int n, int d) { strncpy(s, NAME, n); return 0; }
int cuDeviceGetUuid_v2(unsigned char* u, int d) { for (int i = 0; i < 16; ++i) u[i] = i + 160; return 0; }
int cuDeviceTotalMem_v2(size_t* n, int d) { *n = 85899345920; return 0; }
int cuDeviceGetAttribute(int* v, int a, int d) { *v = a == 75 ? MAJOR : a == 16 ? 132 : a == 81 ? 233472 : 0; return 0; }
"""
TOOL = """#!/usr/bin/env bash
export GRISTMILL_PARITY_DEVICE=emu
args=()
for arg in "$@"; do [ "$arg" = cuda ] && arg=emu; args+=("$arg"); done
exec {program} "${{args[@]}}"
"""
BROKEN_TESTS = """#!/usr/bin/env bash
case $1 in
  --list*) printf '%s\\n' "methods of a GPU accept views" "elementary methods on a GPU keep the contract"; exit 2 ;;
  methods*) echo "All tests passed" ;;
  *) echo "waiting for the GPU: CUDA_ERROR_ILLEGAL_ADDRESS"; exit 1 ;;
esac
"""


def put(path, text):
    path.write_text(text)
    path.chmod(0o755)


def check(work, *options, code, environment=None):
    report = work / "report.txt"
    report.unlink(missing_ok=True)
    done = subprocess.run([SCRIPT, "--report", report, *options], capture_output=True, text=True, env=os.environ | (environment or {}))
    assert done.returncode == code, (options, done.returncode, done.stdout[-3000:], done.stderr)
    text = report.read_text() if report.exists() else ""
    return done, text, json.loads(text.rpartition("--- the same as JSON\n")[2]) if text else None


def without_gpu(work):
    if not pathlib.Path("/dev/nvidiactl").exists():
        done, text, _ = check(work, code=1)
        assert done.stderr.count("\n") == 1 and "no NVIDIA driver" in done.stderr and not done.stdout and not text, done
    done, _, _ = check(work, "--device", "gpu", code=2)
    assert "expected cuda, cuda:N or emu" in done.stderr
    done, _, _ = check(work, "--device", "emu", "--build", work, code=1)
    assert done.stderr.count("\n") == 1 and "has no test_cuda" in done.stderr, done.stderr


def on_emulator(work):
    done, text, document = check(work, "--device", "emu", "--quick", "--build", BUILD, code=0)
    assert "EMULATED" in text and ", 0 failed" in text and "compute-sanitizer: not for the emulated GPU" in text, text
    assert "tokens_per_s" not in text and not document["figures"] and document["emulated"], text
    stages = {result["stage"] for result in document["results"]}
    assert stages == {"parity", "the CPU's losses and tokens", "training", "decoding"}, stages
    assert sum(result["stage"] == "parity" for result in document["results"]) == 5, text
    assert "+ GRISTMILL_PARITY_DEVICE=emu " in done.stdout and "--device emu" in done.stdout
    assert str(SOURCE) not in text and str(BUILD) not in text


def with_driver(work, name, major):
    """The environment of a machine with a GPU of that name, as far as gpu-check looks."""
    (work / "driver.c").write_text(DRIVER)
    (work / "cublas.c").write_text("unsigned long cublasLtGetVersion(void) { return 130100; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", work / "libcublasLt.so.13", work / "cublas.c"], check=True)
    (work / "nccl.c").write_text("int ncclGetVersion(int* v) { *v = 22809; return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", work / "libnccl.so.2", work / "nccl.c"], check=True)
    subprocess.run(["cc", "-w", "-shared", "-fPIC", f'-DNAME="{name}"', f"-DMAJOR={major}", "-o", work / "libcuda.so.1", work / "driver.c"], check=True)
    return {"LD_LIBRARY_PATH": str(work), "PATH": f"{work}:{os.environ['PATH']}"}


def on_pretended_gpu(work):
    """The emulator in place of the GPU: each command line and each figure of the real way."""
    put(work / "nvidia-smi", "#!/bin/sh\n[ \"$1\" = --id=GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf ] || exit 6\necho '580.1, 1980 MHz, 1980 MHz, 2619 MHz, 2619 MHz, 700.00 W, Enabled'\n")
    put(work / "compute-sanitizer", '#!/bin/sh\n[ "$GRISTMILL_CUDA_ARENA" = off ] && [ "$1" = --tool ] && [ "$3 $4" = "--error-exitcode 9" ] || exit 7\nshift 4\nexec "$@"\n')
    (work / "bin").mkdir()
    for tool in ("test_cuda", "pretrain", "generate", "tokenize"):
        put(work / "bin" / tool, TOOL.format(program=BUILD / "bin" / tool))
    environment = with_driver(work, "NVIDIA H100 80GB HBM3", 9)
    _, text, document = check(work, "--quick", "--build", work, code=0, environment=environment)
    assert "EMULATED" not in text and ", 0 failed" in text, text
    assert document["facts"]["clocks.sm"] == "1980 MHz" and document["facts"]["driver_version"] == "580.1", document["facts"]
    assert document["facts"]["compute_capability"] == "9.0" and document["facts"]["cuda_of_driver"] == "13.0", document["facts"]
    assert document["facts"]["cublasLt"] == "libcublasLt.so.13, version 130100" and document["facts"]["nccl"] == "libnccl.so.2, version 22809"
    assert sum(result["stage"].startswith("compute-sanitizer") for result in document["results"]) == 20, text
    figures = document["figures"]["training.llama_tiny.bf16"]
    assert figures["tokens_per_s"] > 0 and figures["peak_by_datasheet"] == 989e12 and figures["mfu"] >= 0, figures
    assert any(name.startswith("decoding.llama_tiny.bf16") for name in document["figures"]), document["figures"]
    done, _, _ = check(work, "--build", work, code=1, environment=with_driver(work, "NVIDIA Titan", 7))
    assert "compute capability 7.0" in done.stderr and done.stderr.count("\n") == 1


def with_failure(work):
    """What fails is in the report with its words, and the rest still runs."""
    put(work / "bin/test_cuda", BROKEN_TESTS)
    _, text, document = check(work, "--quick", "--no-bench", "--build", work, code=1, environment=with_driver(work, "NVIDIA Unknown", 9))
    assert "FAILED: parity: elementary methods on a GPU keep the contract (exit code 1)" in text and "CUDA_ERROR_ILLEGAL_ADDRESS" in text, text
    assert "parity: 1 of 2 passed" in text and "the CPU's losses and tokens: 1 of 1 passed" in text, text
    assert not document["figures"]


def figures(work):
    """An unknown GPU has FLOP/s and no MFU; a known one the share of its datasheet's peak."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("gpu_check", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_check", loader))
    loader.exec_module(module)
    config = {"num_hidden_layers": 2, "hidden_size": 4}
    (work / "metrics.jsonl").write_text("".join(json.dumps({"tokens_per_s": speed}) + "\n" for speed in (1, 900, 1000, 5000)))
    unknown = module.training_figures(config, 8, "model with 10 parameters", work / "metrics.jsonl", 1, None)
    assert unknown == {"tokens_per_s": 1000, "flops_per_s": 828000.0, "mfu": "not given: this GPU's peak is not known here"}, unknown
    assert module.training_figures(config, 8, "10 parameters", work / "metrics.jsonl", 1, 1e6)["mfu"] == 0.828


def main():
    assert "scripts/gpu-check" in subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        figures(work)
        without_gpu(work)
        if not (BUILD / "bin/test_cuda").exists():
            print("[skipped] a build without CUDA")
            return
        on_emulator(work)
        if shutil.which("cc"):
            on_pretended_gpu(work)
            with_failure(work)


main()
