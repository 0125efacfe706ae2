#!/usr/bin/env python3
"""The GPU kernels of a build cost what cuda/kernel-budget.json says; scripts/kernel-budget reads and compares them.

    kernel_budget_test.py SOURCE_DIR BUILD_DIR

Before it looks at the build it has the script read containers of its own, good and damaged. A build without CUDA has no kernels to
look at.
"""
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

PTX = b""".extern .shared .align 16 .b8 bytes[];
.visible .entry plain(.param .u64 a) { ret; }
.visible .entry dynamic() { mov.u32 %r1, bytes; ret; }
"""


def elf_body(sections):
    """An ELF file's body: the contents behind 64 bytes of header, then the table; (bytes, where the table is)."""
    names = b"\0" + b"".join(name + b"\0" for name, *_ in sections) + b".names\0"
    body, table = b"\0" * 64, [struct.pack("<IIQQQQIIQQ", *[0] * 10)]
    for name, kind, content, size, link in sections + [(b".names", 3, names, None, 0)]:
        table.append(struct.pack("<IIQQQQIIQQ", names.index(b"\0" + name + b"\0") + 1, kind, 0, 0, len(body),
                                 len(content) if size is None else size, link, 0, 0, 0))
        body += content
    return body + b"".join(table), len(body)


def cubin(architecture, registers, shared, stack=0, compiler=b"V13.0.88", kernel=b"plain", block=(64, 2, 1)):
    symbols = struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0) + struct.pack("<IBBHQQ", 1, 18, 16, 5, 0, 0)
    info = struct.pack("<BBHII", 4, 0x2F, 8, 1, registers) + struct.pack("<BBHII", 4, 0x12, 8, 1, stack)
    own = struct.pack("<BBH", 3, 0x1B, 255) + (struct.pack("<BBHIII", 4, 5, 12, *block) if block else b"")
    sections = [(b".strtab", 3, b"\0" + kernel + b"\0", None, 0), (b".symtab", 2, symbols, None, 1), (b".nv.info", 1, info, None, 2),
                (b".nv.info." + kernel, 1, own, None, 2),
                (b".text." + kernel, 1, b"code", None, 2), (b".nv.shared." + kernel, 8, b"", shared, 0),
                (b".note.nv.tkinfo", 7, b"Cuda release, " + compiler + b"\0-arch " + architecture + b" -m 64", None, 0)]
    body, table = elf_body(sections)
    header = b"\x7fELF" + b"\0" * 36 + struct.pack("<QIHHHHHH", table, 0, 64, 0, 0, 64, len(sections) + 2, len(sections) + 1)
    return header + body[64:]


def fatbin(*machine_codes):
    parts = [(1, PTX)] + [(2, code) for code in machine_codes]
    content = b"".join(struct.pack("<HHIQII", kind, 0, 24, len(text), 0, 0) + text for kind, text in parts)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(content)) + content


def kernel_budget(source, *arguments):
    done = subprocess.run([sys.executable, source / "scripts/kernel-budget", *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_script(source, folder):
    """Yields what the script does wrong with containers made here."""
    (folder / "build/cuda").mkdir(parents=True)
    (folder / "tiny.cu").touch()
    (folder / "build/cuda/removed.fatbin").write_bytes(b"left by an older build")
    budget, container = folder / "budget.json", folder / "build/cuda/tiny.fatbin"

    def expect(wanted_code, wanted_text, content, *options):
        container.write_bytes(content)
        code, text = kernel_budget(source, "--budget", budget, *options, folder / "build")
        if code != wanted_code or not re.search(wanted_text, text) or "Traceback" in text:
            yield f"expected {wanted_code} and {wanted_text!r}, got {code} and {text!r}"

    good = fatbin(cubin(b"sm_80", 100, 40), cubin(b"sm_90", 128, 1064))
    yield from expect(0, "1 kernels, 0 problems", good, "--update")
    # 128 threads are 4 warps. 100 registers a thread: 3,328 of 16,384 a warp, four times 4 warps, 4 blocks. 128: 4 times 4, too.
    wanted = ('"tiny/plain": {"sm_80": {"block": 128, "occupancy": 25, "registers": 100, "shared": 40, "stack": 0}, '
              '"sm_90": {"block": 128, "occupancy": 25, "registers": 128, "shared": 40, "stack": 0}}')
    if wanted not in budget.read_text():
        yield f"wrote {budget.read_text()}"
    yield from expect(0, "0 problems", good)
    yield from expect(1, "tiny/plain sm_90 registers: was 128, now 72\n", fatbin(cubin(b"sm_80", 100, 40), cubin(b"sm_90", 72, 1064)))
    yield from expect(1, "plain sm_80 occupancy: was 25, now 6\n", fatbin(cubin(b"sm_80", 100, 99000), cubin(b"sm_90", 128, 1064)))
    yield from expect(1, "plain sm_90 shared: was 40, now None", fatbin(cubin(b"sm_80", 100, 40)))
    yield from expect(1, "tiny/dynamic: not in the budget\ntiny/plain: not in the build", fatbin(cubin(b"sm_80", 9, 0, kernel=b"dynamic")))
    yield from expect(1, "sm_80: 8 bytes of stack", fatbin(cubin(b"sm_80", 100, 40, 8)), "--update")
    yield from expect(0, "0 problems", fatbin(cubin(b"sm_80", 9, 0, kernel=b"dynamic")), "--update")
    if '"dynamic_shared": true' not in budget.read_text():
        yield "dynamic shared memory goes unseen"
    yield from expect(0, "0 problems", good, "--update")
    # A kernel that says no block: 9 registers a thread are 512 a warp, so that warps fill the multiprocessor.
    program = folder / "build/bin/kernel-counters"
    program.parent.mkdir()

    def emulated(name, threads, sectors):
        program.write_text(f"""#!/bin/sh\necho '{{"tiny/{name}": {{"sectors": {sectors}, "threads": {threads}}}}}'\n""")
        program.chmod(0o755)

    dynamic = fatbin(cubin(b"sm_80", 9, 0, kernel=b"dynamic", block=None))
    emulated("dynamic", 32, 7)
    yield from expect(0, "1 kernels, 0 problems", dynamic, "--update")
    if '"emulated": {"sectors": 7, "threads": 32}' not in budget.read_text() or '"occupancy": 50' not in budget.read_text():
        yield f"wrote {budget.read_text()}"
    emulated("dynamic", 64, 8)
    yield from expect(1, "emulated sectors: was 7, now 8\n.*emulated threads: was 32, now 64\n.*occupancy: was 50, now 100", dynamic)
    emulated("plain", 64, 8)
    yield from expect(2, "has other kernels", dynamic)
    program.write_text("#!/bin/sh\necho a kernel is not launched >&2; exit 1\n")
    yield from expect(2, "a kernel is not launched", dynamic)
    program.unlink()
    yield from expect(0, "counts is not looked at\n1 kernels, 0 problems", dynamic)
    yield from expect(0, "0 problems", good, "--update")
    yield from expect(0, "13.0.88's and the build 14.1.5's: comparing names only", fatbin(cubin(b"sm_80", 7, 0, 0, b"V14.1.5")))
    yield from expect(2, "tiny.fatbin: cut off", good[:-100])
    yield from expect(2, "tiny.fatbin: cut off", good[:9])
    yield from expect(2, "not begin like a fatbin", b"x" * 400)
    yield from expect(2, "compressed; compile with --no-compress", good[:32] + b"\1" + good[33:])
    yield from expect(2, "a header of 0 bytes", good[:20] + b"\0" + good[21:])
    yield from expect(2, "nothing is known here about sm_75", fatbin(cubin(b"sm_75", 1, 0)))
    yield from expect(2, "no ELF file", fatbin(b"\x7fELX" + b"\0" * 200))
    yield from expect(2, "tiny.fatbin: cut off", fatbin(cubin(b"sm_80", 100, 40)[:-70]))


def has_cuda(build):
    cache = (build / "CMakeCache.txt").read_text()
    nvcc = re.search(r"^GRISTMILL_NVCC:\w+=(.*)$", cache, re.M)
    return bool(nvcc and not nvcc[1].endswith("NOTFOUND")) and not re.search(r"^GRISTMILL_CUDA:\w+=OFF$", cache, re.M)


def main():
    source, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        broken = list(check_script(source, pathlib.Path(folder)))
    if broken:
        print("\n".join(broken))
        return 1
    if not has_cuda(build):
        return 0
    code, text = kernel_budget(source, build)
    print(text, end="")
    if code == 1:
        print("if the kernels were meant to change so: scripts/kernel-budget --update BUILD_DIR, and commit cuda/kernel-budget.json")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
